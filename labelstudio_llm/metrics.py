"""The figures of the installation in the text format of Prometheus.

They are read from the database and the broker when somebody asks, so every web process says the
same and none has to remember anything. Each query is cheap on millions of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from annotations.selectors.vitals import RATE_OVER, collecting_vitals
from labelstudio_llm.version import VERSION
from training import machines, streams
from training.artifacts import code_version
from training.lifecycle import QUEUES
from training.selectors.vitals import training_vitals

NAMESPACE = "labelstudio_llm"
KEY_PREFIX = "labelstudio-llm:"
"""What Celery puts before the name of a queue (`global_keyprefix`)."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """A figure: its name, what it says, and its values by their labels."""

    name: str
    help: str
    values: Iterable[tuple[Labels, float]]
    kind: str = "gauge"

    def lines(self) -> Iterator[str]:
        """Yield the figure as Prometheus reads it."""
        name = f"{NAMESPACE}_{self.name}"
        yield f"# HELP {name} {self.help}"
        yield f"# TYPE {name} {self.kind}"
        for labels, value in self.values:
            inside = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
            yield f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}"


def escaped(text: str) -> str:
    """Return the value of a label as the format wants it.

    >>> print(escaped('a "b"'))
    a \\"b\\"
    """
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def collect() -> str:
    """Return all figures of now. Raise DatabaseError where the database is away."""
    families = [*of_collecting(), *of_training(), *of_broker()]
    return "".join(line + "\n" for family in families for line in family.lines())


def single(name: str, help: str, value: float, kind: str = "gauge") -> Family:
    """Return a figure without labels."""
    return Family(name, help, [({}, value)], kind)


def of_collecting() -> list[Family]:
    """Return how the labelling goes."""
    vitals = collecting_vitals()
    seconds = RATE_OVER.total_seconds()
    labels = {"version": VERSION, "revision": code_version()}
    return [
        Family("info", "The version that answers.", [(labels, 1)]),
        single(
            "annotations_total",
            "Number of the newest annotation; rate() of it is how fast people label.",
            vitals.annotations,
            "counter",
        ),
        single(
            "annotations_per_second",
            f"Annotations of the last {seconds:.0f} seconds, by the second.",
            vitals.annotations_lately / seconds,
        ),
        single("leases", "Items that are handed out at this moment.", vitals.leases),
        single(
            "leases_overdue", "Leases that have run out and are not back.", vitals.leases_overdue
        ),
        single("lease_oldest_seconds", "Age of the oldest lease.", vitals.oldest_lease_s),
        single("turns_waiting", "Turns of conversations without replies.", vitals.turns_waiting),
        single("turn_oldest_seconds", "How long the oldest of them waits.", vitals.oldest_turn_s),
    ]


def of_training() -> list[Family]:
    """Return where the runs stand."""
    vitals = training_vitals()
    return [
        Family(
            "runs",
            "Runs by stage and state.",
            [({"stage": s, "state": t}, n) for (s, t), n in sorted(vitals.runs.items())],
        ),
        Family(
            "run_longest_wait_seconds",
            "How long the run that waits longest has waited, by queue.",
            [({"queue": queue}, age) for queue, age in vitals.longest_wait_s.items()],
        ),
        single(
            "run_longest_silence_seconds",
            "How long ago the running run that is silent longest gave a sign of life.",
            vitals.longest_silence_s,
        ),
    ]


def of_broker() -> list[Family]:
    """Return what waits in the broker and what GPU machines said there; that it is away, if so."""
    queues = ["default", *sorted(set(QUEUES.values()))]
    up: list[tuple[Labels, float]] = [({}, 1)]
    depths: list[tuple[Labels, float]] = []
    gpus: list[tuple[Labels, machines.GpuUse]] = []
    waiting: list[tuple[Labels, float]] = []
    memory: list[tuple[Labels, float]] = []
    most: list[tuple[Labels, float]] = []
    try:
        depths = [({"queue": queue}, streams.length_of(KEY_PREFIX + queue)) for queue in queues]
        waiting = [({}, streams.count_waiting())]
        with suppress(streams.BrokerRefuses):  # some do not tell everybody
            said = streams.connection().info("memory")
            memory, most = [({}, said["used_memory"])], [({}, said.get("maxmemory", 0))]
        gpus = [
            ({"machine": name, "gpu": str(gpu.index)}, gpu)
            for name, used in machines.told().items()
            for gpu in used
        ]
    except streams.BrokerError:
        up = [({}, 0)]
    return [
        Family("broker_up", "Whether the broker answers.", up),
        Family("broker_memory_used_bytes", "Memory that the broker has in use.", memory),
        Family(
            "broker_memory_most_bytes", "What it may have; full, it takes nothing. 0: all.", most
        ),
        Family("queue_depth", "Messages that wait for a worker, by queue.", depths),
        Family("streams_waiting", "Streamed completions that wait for a worker.", waiting),
        Family(
            "gpu_busy_ratio",
            "Share of time in which a GPU computed, of machines with a running run.",
            [(labels, gpu.busy) for labels, gpu in gpus],
        ),
        Family(
            "gpu_memory_used_bytes",
            "Memory of a GPU that is in use.",
            [(labels, gpu.memory_used) for labels, gpu in gpus],
        ),
        Family(
            "gpu_memory_total_bytes",
            "Memory of a GPU.",
            [(labels, gpu.memory_total) for labels, gpu in gpus],
        ),
    ]
