"""`corral serve`: the engine behind one port, for the page and for programs."""

import asyncio
import os
import socket
import webbrowser
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import SecretStr

from backend.bootstrap import open_application
from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import ENVIRONMENT, Refused
from backend.cli.options import NO_OPTIONS, Common, load
from backend.cli.reloading import source_changed, start_again
from backend.cli.run import say_who_holds
from backend.security.codes import mint
from backend.security.token import open_keys
from backend.server import AsyncServerCore, NoPassword, check_host, listen, loop_name, run_in_loop
from infrastructure.config.settings import Settings
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import read_holder

VERB = "serve"


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on; 127.0.0.1. Another needs a password.")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on; 8765, or the next free one.")] = None,
    password_file: Annotated[Path | None, Parameter(help="File with the password that browsers are asked for.")] = None,
    reload: Annotated[bool, Parameter(help="Start again when Corral's own source changes.")] = False,
    no_browser: Annotated[bool, Parameter(help="Do not open the page.")] = False,
    fd: Annotated[int | None, Parameter(help="Listening socket that was inherited, instead of a port.")] = None,
    common: Common = NO_OPTIONS,
) -> int:
    """Serve the page and the API until Ctrl-C. Tasks that came over it go on when it is started again."""
    terminal = open_terminal()
    settings = _settings(common, host, port, password_file)
    if page := _one_time_address(settings):
        terminal.say("this data directory is served already; signs a browser in, once, within five minutes:")
        terminal.say(f"  → {page}")
        return 0
    try:
        check_host(settings.serve.host, settings.serve)
    except NoPassword as error:
        raise Refused(str(error), error.hint) from None
    listener = _listener(settings, fd, terminal)
    kept = os.dup(listener.fileno()) if reload else None
    browser = terminal.interactive and not no_browser
    changed = run_in_loop(lambda: _serve(settings, listener, terminal, reload=reload, browser=browser))
    if changed and kept is not None:
        start_again(kept)
    return 0


async def _serve(
    settings: Settings, listener: socket.socket, terminal: Terminal, *, reload: bool, browser: bool
) -> bool:
    """Serve to the end; whether that came because the source changed."""
    async with AsyncExitStack() as stack:
        core = AsyncServerCore(
            lambda: open_application(settings, verb=VERB, on_wait=say_who_holds(terminal)),
            settings.serve,
            listener=listener,
        )
        await stack.enter_async_context(core)
        stack.enter_context(core.signals())
        watching = asyncio.ensure_future(source_changed() if reload else asyncio.Event().wait())
        watching.add_done_callback(lambda done: core.begin_shutdown())
        stack.callback(watching.cancel)
        await _say_where(core.address, settings, terminal, browser=browser)
        await core.run_main_loop()
        terminal.say("shutting down")
        await core.aclose()  # while signals are still ours
        return watching.done()


async def _say_where(address: str, settings: Settings, terminal: Terminal, *, browser: bool) -> None:
    terminal.say(f"Corral listens on {address} ({loop_name()}); Ctrl-C ends it")
    if settings.serve.password is not None:
        terminal.say(f"  → {address}/signin    asks for the password")
        return
    page = await asyncio.to_thread(_one_time_address, settings)
    terminal.say(f"  → {page}    signs a browser in, once, within five minutes; `corral serve` again prints another")
    if browser:
        await asyncio.to_thread(webbrowser.open, page)


def _one_time_address(settings: Settings) -> str:
    """Where to sign in at whoever serves the data directory now; empty when nobody does."""
    directory = DataDirectory(settings.paths.data)
    holder = read_holder(directory.lock)
    if holder is None or holder.verb != VERB or not holder.address:
        return ""
    return f"{holder.address}/signin?code={mint(open_keys(directory.token), holder.epoch)}"


def _settings(common: Common, host: str | None, port: int | None, password_file: Path | None) -> Settings:
    settings = load(common, {"serve.host": host, "serve.port": port}).settings
    if password_file is None:
        return settings
    try:
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"--password-file: {password_file}: {error}", "Name a file that holds one line.") from None
    if len(password) < 8:
        raise Refused(f"--password-file: the password in {password_file} is shorter than 8 characters")
    serve = settings.serve.model_copy(update={"password": SecretStr(password)})
    return settings.model_copy(update={"serve": serve})


def _listener(settings: Settings, fd: int | None, terminal: Terminal) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    host, port = settings.serve.host, settings.serve.port
    try:
        listener = listen(host, port)
    except OSError as error:
        raise Refused(f"{host}:{port}: {error.strerror or error}", "Choose another --port.", ENVIRONMENT) from None
    if port not in (0, listener.getsockname()[1]):
        terminal.warn(f"port {port} is taken; using {listener.getsockname()[1]}")
    return listener
