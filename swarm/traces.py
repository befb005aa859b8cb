"""Traces for OpenTelemetry: what a publish, a pull, a read on demand or a commit takes, and where.

Off unless ``begin`` was called, which needs the extra ``aetherfs[otel]``; until then nothing of OpenTelemetry is
imported, and ``span`` costs a look at one name. Where spans go, and how many are kept, say OpenTelemetry's own
variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER). A trace goes on at the trackers that are asked meanwhile,
by ``traceparent``. Attributes name datasets and kinds, never a secret.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import swarm
from swarm.errors import AetherError, UsageError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

SERVICE: Final = "aetherfs"
# How long a process that ends waits for spans to be taken.
FLUSH_MS: Final = 2000

_provider: TracerProvider | None = None


def is_on() -> bool:
    """Whether spans are made."""
    return _provider is not None


def begin(role: str, processor: Callable[[], SpanProcessor] | None = None) -> None:
    """Make spans from now on, and send them as OTLP over HTTP; ``processor`` takes them instead. UsageError without the
    packages.
    """
    global _provider
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        made = (processor or _otlp)()
    except ImportError as error:
        raise UsageError(
            f"traces need a package that is not here ({error.name}): pip install 'aetherfs[otel]', or set traces off"
        ) from error
    named = {"service.name": SERVICE, "service.version": swarm.__version__, "aetherfs.role": role}
    _provider = TracerProvider(resource=Resource.create(named))
    _provider.add_span_processor(made)


def _otlp() -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


def end() -> None:
    """Send what is left, for a moment at most, and make no more spans. Blocks."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        provider.force_flush(FLUSH_MS)
        provider.shutdown()


@contextlib.contextmanager
def span(name: str, headers: Mapping[str, str] | None = None, **attributes: str | int) -> Iterator[None]:
    """What is done in here is one span, with its errors; ``headers`` of a request whose trace goes on in it."""
    if _provider is None:
        yield
        return
    from opentelemetry import propagate
    from opentelemetry.trace import Status, StatusCode

    # Only the span of whoever asked is taken over; what else it carries along ends here.
    context = propagate.extract({name.lower(): value for name, value in headers.items()}) if headers else None
    told: Mapping[str, Any] = {f"aetherfs.{key}": value for key, value in attributes.items() if value != ""}
    tracer = _provider.get_tracer(SERVICE, swarm.__version__)
    with tracer.start_as_current_span(
        name, context=context, attributes=told, record_exception=False, set_status_on_exception=False
    ) as made:
        try:
            yield
        except AetherError as error:
            made.set_status(Status(StatusCode.ERROR, error.title))
            raise


def onward() -> dict[str, str]:
    """The headers by which a trace goes on at whoever is asked now."""
    carried: dict[str, str] = {}
    if _provider is not None:
        from opentelemetry import propagate

        propagate.inject(carried)
    return carried
