import socket

import pytest

from jetscale.errors import StorageError
from jetscale.sweep.ui import check_port, serve


def test_a_taken_port_is_one_line():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(StorageError, match=rf"port {port} .* is taken; choose another"):
            serve("sqlite:///nothing.db", port)
    check_port(port)
    assert port > 0
