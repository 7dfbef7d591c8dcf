"""The names that NVIDIA NeMo Lens has for attributes of spans, beside those of this bridge."""

from dataclasses import replace

from bridge.sinks.spans.span import Span

DL_NAMES = {
    "training.step": "dl.iteration",
    "training.loss": "dl.loss",
    "training.learning_rate": "dl.learning_rate",
    "training.gradient_norm": "dl.grad_norm",
    "training.tokens_per_second": "dl.throughput_tokens_per_sec",
    "training.batch_size": "dl.batch_size",
}
"""As in nemo/lens/semconv of https://github.com/NVIDIA-NeMo/Lens; names there that nothing here stands for are left out."""


def with_dl_attributes(span: Span) -> Span:
    """Return a span that has these attributes under both names."""
    also = {
        other: span.attributes[name] for name, other in DL_NAMES.items() if name in span.attributes
    }
    return replace(span, attributes={**span.attributes, **also}) if also else span
