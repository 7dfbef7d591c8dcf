"""Calls of a SummaryWriter that a bridge has no place for: each is counted, and said once."""

from typing import Any

from bridge.client.compat.late_session import LateSession

KEEP = "a bridge does not show it; keep the original writer beside this one for it"

NOT_TAKEN = {
    "add_graph": f"a graph of a model: {KEEP}",
    "add_onnx_graph": f"a graph of a model: {KEEP}",
    "add_openvino_graph": f"a graph of a model: {KEEP}",
    "add_embedding": f"an embedding: {KEEP}",
    "add_mesh": f"a mesh: {KEEP}",
    "add_audio": f"sound: {KEEP}",
    "add_video": "a video: give some of its pictures to add_images",
    "add_pr_curve": "a curve by threshold: report a number of it, such as the average precision, as a scalar",
    "add_pr_curve_raw": "a curve by threshold: report a number of it, such as the average precision, as a scalar",
    "add_tensor": "a whole tensor: report numbers of it as scalars, or its distribution with add_histogram",
    "add_custom_scalars": "a layout of diagrams: Grafana's boards have their own",
    "add_custom_scalars_multilinechart": "a layout of diagrams: Grafana's boards have their own",
    "add_custom_scalars_marginchart": "a layout of diagrams: Grafana's boards have their own",
    "export_scalars_to_json": "a file of all numbers: read them back from the bridge's API",
}
"""By name of the call: what it is, and what to do instead."""


class NotTaken:
    """Has every call that originals have, and leaves out those that it does not know."""

    _late: LateSession

    def __getattr__(self, name: str) -> Any:
        """Return a call that does nothing but say once what is left out."""
        if name not in NOT_TAKEN:
            raise AttributeError(
                f"this SummaryWriter has no {name!r}; docs/migration/tensorboard.md lists what it has"
            )

        def leave_out(*_arguments: Any, **_options: Any) -> None:
            self._leave_out(name, NOT_TAKEN[name])

        return leave_out

    def _leave_out(self, what: str, why: str) -> None:
        self._late.leave_out(what, why)
