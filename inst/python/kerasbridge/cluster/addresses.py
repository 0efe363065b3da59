"""Where the other workers find this one.

On processors, JAX's workers compute together over Gloo, and each tells the others the address that its own
host name has. On a fresh Debian or Ubuntu that is 127.0.1.1, in a container there may be none: the others
then find nobody. So the address is looked up here, by the way to the others, and told.
"""

from __future__ import annotations

import functools
import importlib
import ipaddress
import os
import socket
from typing import Iterator, Optional, Sequence

from kerasbridge.errors import ClusterError

LOCAL = "127.0.0.1"
NATIVE = ("jaxlib._jax", "jaxlib.xla_extension")  # where JAX has its compiled part, by version


def tell(hosts: Sequence[str], number: int) -> None:
    """Have this worker tell the others an address at which they reach it.

    Args:
        hosts: names of the machines of all workers, the coordinator's first; empty for this machine alone.
        number: of this worker.

    Raises:
        ClusterError: its host name leads the others astray, and this JAX takes no address.
    """
    address = own_address(hosts, number) if hosts else LOCAL
    if address is None or _take(address):
        return
    name = socket.gethostname()
    if hosts and all(_loopback(found) for found in _addresses(name)):
        raise ClusterError(
            f"The other workers can't reach the machine {name}: it calls itself by an address of its own.",
            hint=f"In /etc/hosts there, give {name} the address {address} in place of 127.0.1.1.",
        )


def own_address(hosts: Sequence[str], number: int) -> Optional[str]:
    """The address of this machine on the way to the others; None if none of their names is known here."""
    loopback = False
    for name in [host for host in hosts if host != hosts[number]]:
        for address in _addresses(name):
            own = _way(address)
            if own is not None and not _loopback(own):
                return own
            loopback = loopback or own is not None
    words = os.environ.get("SSH_CONNECTION", "").split()  # client, its port, this machine, its port
    if len(words) == 4 and not _loopback(words[2]):
        return words[2]
    return LOCAL if loopback or len(set(hosts)) == 1 else None


def _addresses(name: str) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(name, 9, type=socket.SOCK_DGRAM)
    except OSError:
        return
    for *_, place in found:
        yield place[0]


def _way(address: str) -> Optional[str]:
    """The address that this machine has for that one; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
            return one.getsockname()[0]
    except OSError:
        return None


def _loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return found.is_loopback or found.is_link_local


def _take(address: str) -> bool:
    """Give JAX the address. It has no setting for it, so the function that takes one gets it here."""
    for name in NATIVE:
        try:
            native = importlib.import_module(name)
        except ImportError:
            continue
        make = getattr(native, "make_gloo_tcp_collectives", None)
        if make is not None:
            native.make_gloo_tcp_collectives = functools.partial(make, hostname=address)
            return True
    return False
