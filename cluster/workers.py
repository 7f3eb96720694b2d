"""Ask the autoscaler for GPU workers before a sweep, and let them go after it.

A sweep uses the nodes that join but asks for none, and it trains on CPUs where no GPU is there when
it starts. Run on the head:

    python cluster/workers.py 4     ask for four GPUs and wait until they have joined
    python cluster/workers.py 0     withdraw it; idle workers end after idle_timeout_minutes

The request stands until it is withdrawn, so the workers are kept (and billed) between sweeps.
"""

import argparse
import sys
import time
from collections.abc import Callable


def wait_for_gpus(
    wanted: int, present: Callable[[], int], minutes: float, sleep: Callable[[float], None]
) -> bool:
    """Poll until ``wanted`` GPUs are present; prints each change; False when the time is up."""
    last = -1
    for _ in range(max(1, round(minutes * 6))):
        now = present()
        if now != last:
            print(f"{now} of {wanted} GPUs", flush=True)
            last = now
        if now >= wanted:
            return True
        sleep(10)
    return False


def main() -> None:
    """Request the GPUs named on the command line and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("gpus", type=int, help="GPUs to ask for; 0 withdraws the request")
    parser.add_argument("--minutes", type=float, default=30, help="how long to wait (default 30)")
    arguments = parser.parse_args()
    if arguments.gpus < 0:
        parser.error(f"gpus is {arguments.gpus}: ask for 0 or more")

    import ray
    from ray.autoscaler.sdk import request_resources

    ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    request_resources(bundles=[{"GPU": 1}] * arguments.gpus)

    def present() -> int:
        return int(ray.cluster_resources().get("GPU", 0))

    if not wait_for_gpus(arguments.gpus, present, arguments.minutes, time.sleep):
        sys.exit(
            f"workers.py: {arguments.gpus} GPUs did not join in {arguments.minutes:g} minutes: see "
            "/tmp/ray/session_latest/logs/monitor.out (quota, max_workers, setup of the workers)"
        )


if __name__ == "__main__":
    main()
