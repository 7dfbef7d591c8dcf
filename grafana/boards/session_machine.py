"""Rows of the session board about where it runs and what else happens to it: GPUs, ranks, commands and events."""

from bridge.alert_rules.inlined import inlined
from grafana.annotations import rises
from grafana.panels import Query, state_timeline, table, timeseries
from grafana.promql import CHOSEN_BRIDGES, RATE_INTERVAL, latest
from grafana.states import MAPPINGS, doing

OF_A_GPU = "max by (session_id, gpu, gpu_uuid)"

GPU = "GPU {{gpu}}"

GPUS = (
    timeseries(
        "GPU use",
        "Share of the time that each GPU was busy. Low while it trains: it waits, most often for its data. Empty: the loop runs on no GPU, or does not report it.",
        Query(f"{OF_A_GPU} (training_gpu_utilization_ratio)", GPU),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
    ),
    timeseries(
        "GPU memory",
        "Memory in use of what each GPU has. Near all of it: the next longer batch may be one too many.",
        Query(
            f"{OF_A_GPU} (training_gpu_memory_used_bytes / (training_gpu_memory_total_bytes > 0))",
            GPU,
        ),
        unit="percentunit",
        defaults={"min": 0, "max": 1},
    ),
    timeseries(
        "GPU temperature",
        "Of each GPU. One that is hotter than the others is throttled first: look at its cooling.",
        Query(f"{OF_A_GPU} (training_gpu_temperature_celsius)", GPU),
        unit="celsius",
    ),
    timeseries(
        "GPU power",
        "What each GPU draws. Less than before at the same use: it is throttled, or waits within its kernels.",
        Query(f"{OF_A_GPU} (training_gpu_power_watts)", GPU),
        unit="watt",
        defaults={"min": 0},
    ),
    timeseries(
        "GPU clock",
        "Clock of the multiprocessors of each GPU. Lower than that of its like: see the reason in GPU throttled.",
        Query(f"{OF_A_GPU} (training_gpu_sm_clock_hertz)", GPU),
        unit="hertz",
        defaults={"min": 0},
    ),
    timeseries(
        "GPU throttled",
        "1 while a GPU runs slower than it could, by reason. power is usual under full load; docs/metrics.md says what to do about the others.",
        Query(
            "max by (session_id, gpu, reason) (training_gpu_throttled) > 0",
            f"{GPU}: {{{{reason}}}}",
        ),
        unit="none",
        defaults={"min": 0, "max": 1, "decimals": 0, "noValue": "none"},
        custom={"drawStyle": "bars", "fillOpacity": 60},
    ),
    timeseries(
        "GPU errors",
        "Memory errors that could not be corrected, and XID errors. Any: read the kernel's log of its machine, and compare the loss since then with a checkpoint.",
        Query(
            f"{OF_A_GPU} (increase(training_gpu_ecc_errors_total{RATE_INTERVAL}))", f"{GPU}: memory"
        ),
        Query(
            f"{OF_A_GPU} (increase(training_gpu_xid_errors_total{RATE_INTERVAL}))", f"{GPU}: XID"
        ),
        unit="short",
        defaults={"min": 0},
    ),
    timeseries(
        "CPU of the process",
        "Cores that the training process uses. Near the number it may use: its data loaders are held up by it.",
        Query("max by (session_id) (training_cpu_utilization_ratio)", "cores"),
        unit="none",
        defaults={"min": 0},
    ),
    timeseries(
        "Memory of the process",
        "Memory that the training process uses. One that only grows will be killed in the end: look for tensors that are kept.",
        Query("max by (session_id) (training_memory_used_bytes)", "memory"),
        unit="bytes",
        defaults={"min": 0},
    ),
)

OF_ITS_RUN = 'and on (run_id) training_session_info{session_id=~"$session", run_id!=""}'

RANKED = 'max by (session_id, run_id, rank) (training_session_info{run_id!="", rank!=""})'

RANK = "rank {{rank}}"


def of_its_ranks(query: str) -> Query:
    """Return a query about every rank of the run that the session is a rank of, whatever the board's session is."""
    return Query(f"({query}) {OF_ITS_RUN}", RANK, session=CHOSEN_BRIDGES)


def at_this_pace(name: str) -> str:
    """Return a recorded series with its rates over the interval that Grafana chooses."""
    return inlined(name).replace("[5m]", RATE_INTERVAL)


RANKS = (
    timeseries(
        "Step of each rank",
        "What a step takes at each rank of the run. In synchronous training all wait for the slowest one, so look at what it does by itself. Empty: it is a run of one process.",
        of_its_ranks(at_this_pace("run:rank_step_seconds")),
        width=12,
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "Holds up the others",
        "By which share of a step each rank holds up the others, 0 for the median rank. TrainingStraggler fires above a fifth: see to its data, its CPU and its GPU.",
        of_its_ranks(at_this_pace("run:rank_straggler_ratio")),
        width=12,
        unit="percentunit",
        steps=((None, "transparent"), (0.2, "red")),
        defaults={"min": 0},
        custom={"thresholdsStyle": {"mode": "dashed"}},
    ),
    state_timeline(
        "What each rank does",
        "The phase of each rank while it runs, else its status. One that does something else than the others is what they wait for.",
        of_its_ranks(f"({doing()}) * on (session_id) group_left (run_id, rank) {RANKED}"),
        mappings=MAPPINGS,
        height=6,
    ),
)

COMMANDS_AND_EVENTS = (
    table(
        "Commands",
        "Commands of the attempt that was last, by what became of them. Failed or refused: its page says why; sent and no more: the loop has not come to its next batch.",
        f"max by (type, result) ({latest('training_commands_total')})",
        width=12,
        defaults={"noValue": "none"},
    ),
    table(
        "Events",
        "Events of the attempt that was last, by name. Its page has their messages and details.",
        f"max by (name) ({latest('training_events_total')})",
        width=12,
        defaults={"noValue": "none"},
    ),
    timeseries(
        "When it happened",
        "Whether there were commands and events between two points. What the loss does just after one is most often its effect.",
        Query(f"sgn({rises('training_commands_total', 'type', 'result')})", "{{type}}: {{result}}"),
        Query(f"sgn({rises('training_events_total', 'name')})", "{{name}}"),
        width=24,
        height=6,
        unit="short",
        defaults={"min": 0, "decimals": 0},
        custom={"drawStyle": "bars", "fillOpacity": 70},
    ),
)
