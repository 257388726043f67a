"""`albu-gan app`: checks that it can run, then serves the page until it is interrupted."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import ipaddress
import os
import socket
import threading

from albu_gan.hub import DEFAULT_WEIGHTS, bundled_names

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported, which is later

DEFAULT_PORT = 7860
LOOPBACK = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument(
        "--weights", action="append", help="bundled name, folder or Hub repository to offer first; may be repeated"
    )
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen on; default {LOOPBACK}: this computer only"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default {DEFAULT_PORT}; 0 takes a free one")
    parser.add_argument("--max-megapixels", type=float, default=16.0, help="of an uploaded image; default 16")
    parser.add_argument("--max-megabytes", type=int, default=32, help="of an uploaded file; default 32")
    parser.add_argument("--device", default="cpu", help="torch device; default cpu")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    parser.set_defaults(run=run_app)


def run_app(arguments: argparse.Namespace) -> None:
    """Serve the page.

    Raises:
        ValueError: if Gradio is not installed, the address or port cannot be used, or a limit makes no sense.
    """
    require_gradio()
    if not 0 < arguments.max_megapixels <= 1000:
        raise ValueError(f"--max-megapixels must be more than 0 and at most 1000, got {arguments.max_megapixels:g}")
    if not 1 <= arguments.max_megabytes <= 4096:
        raise ValueError(f"--max-megabytes must be from 1 to 4096, got {arguments.max_megabytes}")
    port = usable_port(arguments.host, arguments.port)
    from albu_gan.app.interface import Limits, build, launch_options

    limits = Limits(arguments.max_megapixels, arguments.max_megabytes)
    weights = list(dict.fromkeys([*(arguments.weights or [DEFAULT_WEIGHTS]), *bundled_names()]))
    blocks = build(weights, limits, arguments.device)
    _, url, _ = blocks.launch(
        server_name=arguments.host,
        server_port=port,
        inbrowser=not arguments.no_browser,
        prevent_thread_lock=True,
        **launch_options(limits),
    )
    print(f"albu-gan app: {url} (Ctrl+C stops it)", flush=True)
    if not is_loopback(arguments.host):
        print("Everyone who can reach this address can use it and upload images: there is no password.", flush=True)
    try:
        threading.Event().wait()
    finally:
        blocks.close(verbose=False)


def require_gradio() -> None:
    """Raise unless Gradio can be imported.

    Raises:
        ValueError: saying how to install it.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ValueError('the app needs Gradio, which is not installed: pip install "albu-gan[app]"')


def usable_port(host: str, port: int) -> int:
    """Return the port if it is free, a free one for 0.

    Raises:
        ValueError: if it is in use or not allowed, or the address is not one of this computer.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535, got {port}")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: not "in use" after a stop
            probe.bind(address)
            probe.listen(1)
            return int(probe.getsockname()[1])
    except socket.gaierror as err:
        raise ValueError(f"--host {host!r} is no address; use {LOOPBACK}, or 0.0.0.0 for all networks") from err
    except PermissionError as err:
        raise ValueError(f"port {port} needs more rights than you have; choose one above 1023 with --port") from err
    except OSError as err:
        if err.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} is in use; choose another with --port, or a free one with --port 0") from err
        raise ValueError(f"cannot listen on {host} ({err.strerror}); use {LOOPBACK}") from err


def is_loopback(host: str) -> bool:
    """Return whether only this computer can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
