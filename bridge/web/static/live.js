// Keep an open page up to date. Every page works without this script.
"use strict";

const regions = [...document.querySelectorAll("[data-live]")];
const seconds = Math.min(...regions.map((region) => Number(region.dataset.seconds)));

function isBusy(region) {
  const active = document.activeElement;
  return region.contains(active) && active.matches("input:not([type=checkbox]), button, summary, select");
}

function replace(name, fresh) {
  const region = document.querySelector(`[data-live="${name}"]`);
  const next = fresh.querySelector(`[data-live="${name}"]`);
  if (!region || !next) return;
  // A region with a version is replaced only when that changes, and then also while it is being used.
  const version = next.dataset.version;
  if (version ? version === region.dataset.version : isBusy(region) || region.innerHTML === next.innerHTML) return;
  if (version) region.dataset.version = version;
  const active = region.contains(document.activeElement) ? document.activeElement : null;
  const checked = [...region.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value);
  const scrolled = [...region.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  region.replaceChildren(...document.adoptNode(next).childNodes);
  region.querySelectorAll(".scroll").forEach((box, index) => {
    if (scrolled[index]) [box.scrollLeft, box.scrollTop] = scrolled[index];
  });
  for (const box of region.querySelectorAll("input[type=checkbox]")) {
    box.checked = checked.includes(box.value);
    if (active && active.type === "checkbox" && active.value === box.value) box.focus({ preventScroll: true });
  }
  const link = active && active.getAttribute("href");
  const again = link && [...region.querySelectorAll("a")].find((one) => one.getAttribute("href") === link);
  if (again) again.focus({ preventScroll: true });
}

// Say above the page that it is no longer kept up to date, and why.
function show(state) {
  for (const each of ["stale", "gone"]) document.body.classList.toggle(each, each === state);
}

async function refresh() {
  try {
    const response = await fetch(location.href, { cache: "no-store" });
    if (response.status === 401) location.reload(); // which leads to the login page
    show(response.status === 404 ? "gone" : response.ok ? "" : "stale");
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const region of regions) replace(region.dataset.live, fresh);
    document.title = fresh.title;
  } catch {
    show("stale");
  }
}

async function keepFresh() {
  for (;;) {
    await new Promise((resume) => setTimeout(resume, seconds * 1000));
    if (!document.hidden) await refresh();
  }
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
  const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = way && document.querySelector(`a[rel="${way}"]`);
  if (link && !event.target.closest(".scroll")) location.assign(link.href);
});

if (regions.length) keepFresh();
