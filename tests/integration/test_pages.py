"""The pages in a real browser."""

import io
import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image
from support.bridges import running_bridge
from support.browser import chromium
from support.sample_pages import sample_deps
from support.waiting import until

from bridge.lifecycle import Connected, Ended
from bridge.model import Batch, Client, Config, Stage, Status, StatusChange
from bridge.protocol import CommandType
from bridge.web import bind_listener, build_app, serve_http

RUN = "/sessions/digits-2024-11-24"
HOSTILE_RUN = "/sessions/" + "a" * 63
PAGES = (
    "/",
    "/?query=zzz&status=failed&sort=name",
    RUN,
    HOSTILE_RUN,
    f"{RUN}/batches/1-302",
    f"{RUN}/batches/0-5",
    "/sessions/resnet50-warmup-lr3e-2-seed4",
    "/sessions/vit-preempted",
    "/sessions/vit-preempted/attempts/1",
    "/sessions/vit-preempted/batches/2-50",
    "/sessions/vit-preempted/attempts/1/batches/2-50",
    f"/compare?sessions=digits-2024-11-24,bert-tiny-sst2,resnet50-warmup-lr3e-2-seed4,unet-cells-17,{'a' * 63},gone",
    "/compare?sessions=digits-2024-11-24,bert-tiny-sst2&curve=epoch.accuracy",
)

LABELS_OUTSIDE = """
[...document.querySelectorAll('svg text')].filter((label) => {
  const inner = label.getBoundingClientRect(), outer = label.closest('.panel').getBoundingClientRect();
  return inner.left < outer.left || inner.right > outer.right;
}).map((label) => label.textContent)
"""

TIMES = re.compile(r"\d+(\.\d+)? (s|min|h|ms|d)( \d+ (s|min|h))?( ago)?|just now")
"""What changes with the time between two views of a page."""


@pytest.fixture(scope="module")
def deps(tmp_path_factory):
    """Return the dependencies of a bridge with sessions in every state; the tests do not disturb each other."""
    deps = sample_deps(tmp_path_factory.mktemp("pages"))
    yield deps
    deps.index._database.close()


@pytest.fixture
async def site(deps):
    """Return the address of the pages."""
    with bind_listener("127.0.0.1:0") as listener:
        async with serve_http(build_app(deps), listener):
            yield f"http://{listener.address}"


@pytest.fixture
async def tab(tmp_path):
    """Return a tab of a headless Chromium."""
    async with chromium(tmp_path / "profile") as tab:
        yield tab


async def test_no_page_needs_a_script(tab, site):
    """A reader sees the same words with scripts and without."""
    for path in PAGES:
        await tab.emulate(scripts=True)
        await tab.open(site + path)
        with_scripts = TIMES.sub("~", await tab.text())
        await tab.emulate(scripts=False)
        await tab.open(site + path)
        without = TIMES.sub("~", await tab.text())

        assert len(without) > 100
        assert without == with_scripts


async def test_nothing_breaks_the_policy_or_fails_to_load(tab, site):
    """The console stays empty: no blocked style, no missing image, no exception, no alert from a client's text."""
    for path in PAGES:
        await tab.open(site + path)
        await tab.evaluate(
            "document.querySelectorAll('img').forEach((one) => one.loading = 'eager')"
        )
        await until(lambda: tab.evaluate("[...document.images].every((one) => one.complete)"))
        broken = await tab.evaluate(
            "[...document.images].filter((one) => !one.naturalWidth).map((one) => one.src)"
        )

        assert broken == []
    assert tab.console_errors == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
async def test_pages_are_painted_and_fit_the_screen(tab, site, width, dark):
    """On a light desktop and a dark phone: no blank page, no horizontal scrolling."""
    for path in PAGES:
        await tab.emulate(width=width, dark=dark)
        await tab.open(site + path)

        picture = Image.open(io.BytesIO(await tab.picture(whole=False))).convert("L")
        colours = picture.getcolors(maxcolors=256)
        background = max(colours)[1]
        assert len(colours) > 32
        assert (background < 64) == dark
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        assert await tab.evaluate(LABELS_OUTSIDE) == []


async def test_wrong_images_are_outlined(tab, site):
    """They stand out: a border unlike that of right ones, and a word."""
    await tab.open(f"{site}{RUN}/batches/1-302")

    border = "getComputedStyle(document.querySelector('.image.%s')).borderColor"
    assert await tab.evaluate(border % "wrong") != await tab.evaluate(border % "right")
    text = await tab.text()
    assert text.count("✗ wrong") == await tab.evaluate(
        "document.querySelectorAll('.image.wrong').length"
    )


async def test_an_open_page_follows_the_run(tab, site, deps):
    """New data shows up by itself, without moving the reader's focus."""
    session = deps.sessions.get("digits-2024-11-24")
    await tab.open(site + RUN)
    await tab.evaluate("document.querySelector('.matrix a').focus()")
    place = await tab.evaluate("document.activeElement.getAttribute('href')")

    session.apply(Batch(3, 399, 77.25), session.updated_at)

    await until(lambda: tab.evaluate("document.body.innerText.includes('77.25')"))
    assert await tab.evaluate("document.activeElement.getAttribute('href')") == place


async def test_a_command_is_given_by_a_click(tab, site, deps):
    """A person without scripts pauses a run from its page and sees that it is on its way."""
    await tab.emulate(scripts=False)
    await tab.open(site + RUN)
    place = await tab.evaluate(
        "(() => { const box = [...document.querySelectorAll('button')]"
        ".find((one) => one.innerText == 'Pause').getBoundingClientRect();"
        "window.scrollTo(0, box.y - 300);"
        "return [box.x + box.width / 2, 300 + box.height / 2] })()"
    )
    async with tab.loading():
        for kind in ("mousePressed", "mouseReleased"):
            await tab.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    assert "The command is on its way" in await tab.text()
    queued = [command.type for command in deps.commands.of("digits-2024-11-24")]
    assert queued.count(CommandType.PAUSE_TRAINING) == 1


async def test_an_open_page_notices_the_end_of_a_run(tab, site, deps):
    """Buttons and the note go by themselves, also while somebody is typing; what can be done now is there."""
    session = deps.sessions.register("ends-soon", Client(), Config()).session
    session.apply(Connected(), session.registered_at)
    deps.commands.submit("ends-soon", CommandType.PAUSE_TRAINING, {})
    await tab.open(f"{site}/sessions/ends-soon?note=queued")
    await tab.evaluate("document.querySelector('input[name=learning_rate]').focus()")
    assert "The command is on its way" in await tab.text()

    session.apply(StatusChange(Status.COMPLETED), session.registered_at)
    session.apply(Ended(Stage.ENDED), session.registered_at)

    await until(lambda: tab.evaluate("!document.querySelector('.forms')"))
    await until(lambda: tab.evaluate("document.body.innerText.includes('Delete this session')"))
    text = await tab.text()
    assert "The command is on its way" not in text
    assert "the run was over first" in text


NOTICE = "getComputedStyle(document.querySelector('main'), '::before').content"


async def test_an_open_page_says_that_its_session_is_gone(tab, site, deps):
    """What was deleted, or belonged to a bridge that another has replaced, is not shown as running forever."""
    registered = deps.sessions.register("gone-1", Client(), Config())
    await tab.open(f"{site}/sessions/gone-1")
    assert await tab.evaluate(NOTICE) == "none"

    deps.sessions.expire(registered.session)

    await until(lambda: tab.evaluate(f"{NOTICE}.includes('no longer has this page')"))


async def test_an_open_page_says_that_the_bridge_has_ended(tab, tmp_path):
    """Above the page, where it is seen: what stands below it was true when it was last heard from."""
    with running_bridge(tmp_path / "state") as bridge:
        await tab.open(f"http://{bridge.http}/")

    await until(lambda: tab.evaluate(f"{NOTICE}.includes('not responding')"))


async def test_a_search_outlives_live_refresh(tab, site, deps):
    """An open list goes on showing what was searched for, and what somebody types meanwhile stays."""
    await tab.open(f"{site}/?query=found&sort=name")
    await tab.evaluate("document.querySelector('input[name=query]').value = 'typed'")
    for name in ("found-late", "other-late"):
        deps.sessions.register(name, Client(), Config())

    await until(lambda: tab.evaluate("document.body.innerText.includes('found-late')"))

    assert "other-late" not in await tab.text()
    assert await tab.evaluate("document.querySelector('input[name=query]').value") == "typed"


async def test_checked_sessions_stay_checked_and_are_compared(tab, site, deps):
    """An open list that refreshes itself keeps the boxes, and the button shows the sessions beside one another."""
    names = ["digits-2024-11-24", "bert-tiny-sst2"]
    await tab.open(f"{site}/?sort=name")
    for name in names:
        await tab.evaluate(f"document.querySelector('input[value=\"{name}\"]').click()")
    deps.sessions.register("compared-late", Client(), Config())
    await until(lambda: tab.evaluate("document.body.innerText.includes('compared-late')"))

    checked = "[...document.querySelectorAll('input:checked')].map((box) => box.value)"
    assert sorted(await tab.evaluate(checked)) == sorted(names)
    async with tab.loading():
        await tab.evaluate("document.querySelector('button[form=compare]').click()")

    assert await tab.evaluate("location.pathname") == "/compare"
    assert sorted(await tab.evaluate(checked)) == sorted(names)
    assert await tab.evaluate("document.querySelectorAll('svg.chart .line').length") == 2


async def test_arrow_keys_go_through_the_batches(tab, site):
    """Right and left lead to the next batch with images and back."""
    await tab.open(f"{site}{RUN}/batches/1-302")

    for key, batch in (("ArrowRight", "1-303"), ("ArrowLeft", "1-302")):
        async with tab.loading():
            await tab.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
            await tab.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

        assert await tab.evaluate("location.pathname") == f"{RUN}/batches/{batch}"


@pytest.fixture
async def board():
    """Return the address of a page that frames another one, as a dashboard's text panel does."""

    async def panel(request):
        text = f'<!doctype html><title>board</title><iframe src="{request.query["show"]}"></iframe>'
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", panel)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize("is_known", [True, False])
async def test_grafana_may_frame_the_pages_of_a_bridge_that_knows_it(
    tab, board, tmp_path, is_known
):
    """With `--grafana-url` pages link to its boards and show in its panels; without, neither."""
    flags = ("--grafana-url", board) if is_known else ()
    with running_bridge(tmp_path / "state", *flags) as bridge:
        page = f"http://{bridge.http}/"
        await tab.open(page)
        links = await tab.evaluate("[...document.links].map((link) => link.href)")
        await tab.open(f"{board}?show={page}")
        tree = await tab.send("Page.getFrameTree")

    [panel] = tree["frameTree"]["childFrames"]
    is_blocked = any("frame-ancestors" in error for error in tab.console_errors)
    assert (f"{board}d/trainbridge-fleet" in links) == is_known
    assert (panel["frame"]["url"] == page) == is_known
    assert is_blocked != is_known
