"""Resource usage of a process, under Prometheus' names.

``prometheus_client`` reads the kernel's numbers. Some of them cannot be read for
another user's process, and are left out.
"""

from prometheus_client.process_collector import ProcessCollector

from pyglue.api.metrics import ProcessUsage


def usage_of(program: str, pid: int | None = None) -> ProcessUsage | None:
    """Return the usage of ``pid`` (default: this process); None if it has ended."""
    name = "self" if pid is None else str(pid)
    found = {
        sample.name.removeprefix("process_"): sample.value
        for family in ProcessCollector(pid=lambda: name, registry=None).collect()
        for sample in family.samples
    }
    if "cpu_seconds_total" not in found:
        return None
    open_fds, max_fds = found.get("open_fds"), found.get("max_fds")
    return ProcessUsage(
        program=program,
        cpu_seconds=found["cpu_seconds_total"],
        resident_memory_bytes=found["resident_memory_bytes"],
        virtual_memory_bytes=found["virtual_memory_bytes"],
        start_time_seconds=found["start_time_seconds"],
        open_fds=None if open_fds is None else int(open_fds),
        max_fds=None if max_fds is None else int(max_fds),
    )
