"""The network interface over which the workers of one run talk to each other."""

import os
import socket
import struct
from contextlib import suppress

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface


def interface_of(address: str) -> str | None:
    """The interface of this machine that has an IPv4 address; None where none has, or off Linux.

    >>> interface_of("192.0.2.1") is None  # an address of the documentation
    True
    """
    import fcntl  # Unix

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address
                request = struct.pack("256s", os.fsencode(name)[:15])
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
                if socket.inet_ntoa(answer[20:24]) == address:
                    return name
    return None


def use_interface_of_node() -> None:
    """Let gloo listen where Ray listens, unless GLOO_SOCKET_IFNAME says otherwise.

    Gloo takes the address that the host's own name has. Debian and Ubuntu give it 127.0.1.1, where
    no other host reaches it: a run on several nodes would wait for its peers without a word.
    """
    import ray

    if name := interface_of(ray.util.get_node_ip_address()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
