"""Runs of several ranks, for the OpenAPI document."""

from bridge.web.api.openapi.shapes import (
    SESSION_NAME,
    Operation,
    Parameter,
    by_name,
    choice,
    flag,
    limit,
    many,
    maybe,
    real,
    record,
    ref,
    text,
    url,
    whole,
)
from bridge.web.api.runs import DEFAULT_LIMIT, get_run
from bridge.web.runs.findings import Severity
from bridge.web.runs.selection import RankSort
from bridge.web.runs.view import MAX_RANKS
from bridge.web.session_state import STATES

RANK = record(
    "A rank of a run.",
    rank=whole(),
    session_id=SESSION_NAME,
    state=choice(STATES),
    connected=flag(),
    updated_at=real("Seconds since 1970."),
    stepped_at=maybe(real(), "When its last step was heard of, in seconds since 1970."),
    step=whole("Of the run, or since its attempt began where not all ranks report the former."),
    step_seconds=maybe(ref("Number"), "What a step has taken lately."),
    phase=maybe(text()),
    phase_shares=by_name(real(), "Of its time in the last minutes, by phase."),
    straggler_ratio=maybe(real(), "How much it holds up the others, as a share of a step."),
    slow=flag(),
    behind=flag(),
    gpu_utilization_ratio=maybe(real()),
    gpu_memory_used_bytes=maybe(real()),
    gpu_memory_total_bytes=maybe(real()),
    gpu_throttle_reasons=maybe(many(text())),
    gpu_errors=maybe(whole()),
    url=url("The page of its session."),
)

RUN = record(
    "Sessions that train together.",
    run_id=SESSION_NAME,
    world_size=maybe(whole(minimum=1)),
    registered=whole("Ranks that are known here."),
    connected=whole(),
    missing_ranks=many(whole()),
    median_step_seconds=maybe(real()),
    standstill_seconds=maybe(real(), "How long no rank has taken a step; null: steps come."),
    slowest_rank=maybe(whole()),
    ranks_behind=many(whole()),
    findings=many(record(severity=choice(Severity), text=text()), "What stands out."),
    ranks=many(ref("Rank")),
    url=url("Its page."),
)

SCHEMAS = {"Run": RUN, "Rank": RANK}

OPERATIONS = {
    get_run: Operation(
        "Runs",
        "Get the ranks of a run, and what stands out among them",
        {200: "The run."},
        ref("Run"),
        parameters=(
            Parameter("run_id", "The run.", SESSION_NAME, place="path", required=True),
            Parameter("sort", "In which order.", choice(RankSort)),
            limit(DEFAULT_LIMIT, MAX_RANKS, "ranks"),
            Parameter("offset", "Skips so many.", whole(maximum=MAX_RANKS, default=0)),
        ),
        errors=(400, 404),
    ),
}
