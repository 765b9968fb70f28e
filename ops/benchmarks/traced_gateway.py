"""The gateway with an observer in its process, which gunicorn serves for `ops/bench slices`.

`GET /slices` answers what was observed since the last `DELETE /slices`, as JSON.
"""

import gc
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import falcon
import gevent
import greenlet
from gevent.hub import Hub

from actors.actor import Actor
from actors.adapters.runtime import GeventRuntime
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.ports import OwnedJournal
from actors.settings import Settings
from actors.system import Parts, production_parts
from gateway import main
from gateway.server.worker import GatewayWorker
from ops.environment import ROOT

APPLICATION = "ops.benchmarks.traced_gateway:application()"
"""What gunicorn is told to serve."""
OVER_MS = "TRACED_OVER_MS"
"""The environment variable with the milliseconds of wall time from which on slices are told by their functions."""
TIMER_S = 0.010
"""Interval of the timer whose delay tells how long what is ready waits for the loop."""
HUB, OTHER = "event loop", "other"
_KINDS = {GatewayWorker.handle.__code__: "HTTP", GeventRuntime._run_jobs.__code__: "calls"}  # noqa: SLF001 - its code
"""What a greenlet does, by the code of a function on its stack; `calls` are charges and look-ups."""
_ACTOR_LOOP = Actor._actor_loop.__code__  # noqa: SLF001 - the same
_OWN_FOLDERS = (f"{ROOT}/actors/", f"{ROOT}/http/")

Clock = Callable[[], float]


@dataclass(slots=True)
class Totals:
    """The sums of some slices; times are seconds."""

    count: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    longest_s: float = 0.0
    """Wall time of the longest."""

    def add(self, wall_s: float, cpu_s: float) -> None:
        """Add a slice."""
        self.add_all(Totals(1, wall_s, cpu_s, wall_s))

    def add_all(self, others: "Totals") -> None:
        """Add the slices of others."""
        self.count += others.count
        self.wall_s += others.wall_s
        self.cpu_s += others.cpu_s
        self.longest_s = max(self.longest_s, others.longest_s)


class Observer:
    """What was seen of one process since its start or `forget`."""

    def __init__(self, over_s: float, now_s: Clock = time.monotonic, cpu_s: Clock = time.thread_time) -> None:
        """Tell slices of `over_s` and more by the functions in which they gave up the loop."""
        self._over_s = over_s
        self._now_s = now_s
        self._cpu_s = cpu_s
        self._kinds: WeakKeyDictionary[greenlet.greenlet, str] = WeakKeyDictionary()
        self._slice_began = (now_s(), cpu_s())
        self._collection_began_s = 0.0
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.durations_s: dict[str, list[float]] = defaultdict(list)
        """Durations by what took them."""
        self.by_kind: dict[str, Totals] = defaultdict(Totals)
        """Totals of all slices, by kind of greenlet."""
        self.long: dict[tuple[str, str], Totals] = defaultdict(Totals)
        """Totals of the long slices, by kind and function."""

    def switched(self, _event: str, greenlets: "tuple[greenlet.greenlet, greenlet.greenlet]") -> None:
        """Note that a slice has ended; `greenlet.settrace` calls this."""
        ended, (began_s, began_cpu_s) = greenlets[0], self._slice_began
        wall_s, cpu_s = self._now_s() - began_s, self._cpu_s() - began_cpu_s
        kind = self._kinds.get(ended)
        if kind is None:
            kind = kind_of(ended)
            if ended.gr_frame is not None:
                self._kinds[ended] = kind
        # Most of the loop's own slice is its wait for something to do.
        if (cpu_s if kind == HUB else wall_s) >= self._over_s:
            self.long[kind, place_of(ended.gr_frame)].add(wall_s, cpu_s)
        self.by_kind[kind].add(wall_s, cpu_s)
        # The clocks are read again, so that the time of this function belongs to no slice.
        self._slice_began = (self._now_s(), self._cpu_s())

    def collected(self, phase: str, about: dict[str, int]) -> None:
        """Note how long a garbage collection took; Python calls this."""
        if phase == "start":
            self._collection_began_s = self._now_s()
        else:
            took_s = self._now_s() - self._collection_began_s
            self.durations_s[f"garbage collection {about['generation']}"].append(took_s)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give the function with its durations noted under `name`."""

        def call(*args: object, **kwargs: object) -> object:
            began_s = self._now_s()
            try:
                return function(*args, **kwargs)
            finally:
                self.durations_s[name].append(self._now_s() - began_s)

        return call

    def watch_loop(self) -> None:
        """Note from now on how late timers are, and how long the loop is busy without looking for what is ready."""
        runtime, polled = GeventRuntime(), gevent.get_hub().loop.check()
        due_s, polled_cpu_s = [self._now_s() + TIMER_S], [self._cpu_s()]

        def fired() -> None:
            now_s = self._now_s()
            # The loop's own clock stands still while it computes, so that a timer may seem to be a little early.
            self.durations_s["timer late"].append(max(0.0, now_s - due_s[0]))
            due_s[0] = now_s + TIMER_S
            runtime.call_later(TIMER_S, fired)

        def looked() -> None:
            cpu_s = self._cpu_s()
            self.durations_s["loop busy"].append(cpu_s - polled_cpu_s[0])
            polled_cpu_s[0] = cpu_s

        runtime.call_later(TIMER_S, fired)
        polled.start(looked)

    def told(self) -> dict[str, object]:
        """Give everything for JSON."""
        return {
            "durations_s": self.durations_s,
            "by_kind": {kind: asdict(totals) for kind, totals in self.by_kind.items()},
            "long": [{"kind": kind, "place": place, **asdict(each)} for (kind, place), each in self.long.items()],
        }


def kind_of(traced: greenlet.greenlet) -> str:
    """Tell what a greenlet does: an actor by its class, or one of `_KINDS`, the loop itself, or something else."""
    if isinstance(traced, Hub):
        return HUB
    for frame in _frames(traced.gr_frame):
        if frame.f_code is _ACTOR_LOOP:
            return type(frame.f_locals["self"]).__name__
        if frame.f_code in _KINDS:
            return _KINDS[frame.f_code]
    return OTHER


def place_of(frame: FrameType | None) -> str:
    """Name the innermost function of the gateway in which a greenlet gave up the loop."""
    for each in _frames(frame):
        path = each.f_code.co_filename
        if path.startswith(_OWN_FOLDERS):
            return f"{path.removeprefix(f'{ROOT}/')}:{each.f_code.co_qualname}"
    return "-"


def _frames(frame: FrameType | None) -> Iterable[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


class _TracedJournal:
    """A journal whose appends are timed."""

    def __init__(self, journal: OwnedJournal, observer: Observer) -> None:
        self._journal = journal
        self._append = observer.timed("journalled", journal.append)

    def append(self, payments: Sequence[Payment], *, synced: bool = True) -> None:
        self._append(payments, synced=synced)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a journal has
        return getattr(self._journal, name)


class _TracedApp:
    """The WSGI app of the gateway, whose answers to `POST /payments` are timed."""

    def __init__(self, app: Callable[..., Any], observer: Observer) -> None:
        self._app = app
        self._post = observer.timed("answered", app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI
        is_post = environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/payments"
        return (self._post if is_post else self._app)(environ, start_response)


class _SlicesResource:
    """Tells and forgets what the observer has seen."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = self._observer.told()

    def on_delete(self, _req: falcon.Request, resp: falcon.Response) -> None:
        self._observer.forget()
        resp.status = falcon.HTTP_204


def application() -> Callable[..., Any]:
    """Build the gateway's own application, and observe this process from now on."""
    observer = Observer(float(os.environ[OVER_MS]) / 1000)

    def traced_parts(settings: Settings) -> Parts:
        parts = production_parts(settings)

        def open_journal(last_purge: LastPurge) -> Any:  # noqa: ANN401 - a journal, as far as anybody can tell
            return _TracedJournal(parts.open_journal(last_purge), observer)

        return replace(parts, open_journal=open_journal)

    app = main.application(traced_parts)
    assert isinstance(app, falcon.App)  # noqa: S101  # unless traces are exported as well
    app.add_route("/slices", _SlicesResource(observer))
    observer.watch_loop()
    gc.callbacks.append(observer.collected)
    greenlet.settrace(observer.switched)
    return _TracedApp(app, observer)
