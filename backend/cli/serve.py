"""`corral serve`: the engine behind one port, for the page and for programs."""

import asyncio
import os
import socket
import webbrowser
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import SecretStr

from backend.bootstrap import open_application
from backend.cli.console import Terminal, open_terminal, silence_broken
from backend.cli.entrance import entrance_of
from backend.cli.errors import Refused
from backend.cli.listening import not_listening
from backend.cli.options import NO_OPTIONS, Common, config_file, load
from backend.cli.reloading import source_changed, start_again
from backend.cli.rereading import on_hangup
from backend.cli.run import say_who_holds
from backend.connections import allow_files
from backend.looping import loop_name, run_in_loop
from backend.server import (
    PORTS_TRIED,
    AsyncServerCore,
    NoPassword,
    ToldToEnd,
    check_host,
    listen,
    spare_collector,
)
from infrastructure.config.load import Loaded
from infrastructure.config.manager import ConfigSource, ConfigurationManager, News, NotReloaded
from infrastructure.config.settings import ServeSettings, Settings

VERB = "serve"
MIN_PASSWORD = 8
EVERY_ADDRESS = ("0.0.0.0", "::")
_BY_PASSWORD = "asks for the password"
_BY_CODE = "signs a browser in, once, within five minutes"


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on; 127.0.0.1. Another needs a password.")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on; when unset 8765, or the next free one.")] = None,
    password_file: Annotated[Path | None, Parameter(help="File with the password that browsers are asked for.")] = None,
    reload: Annotated[bool, Parameter(help="Start again when Corral's own source changes.")] = False,
    no_browser: Annotated[bool, Parameter(help="Do not open the page.")] = False,
    fd: Annotated[int | None, Parameter(help="Listening socket that was inherited, instead of a port.")] = None,
    common: Common = NO_OPTIONS,
) -> int:
    """Serve the page and the API until Ctrl-C. Tasks that came over it go on when it is started again.

    Changes of the settings file hold while it runs (`serve.watch`), also on SIGHUP; what they cannot reach is said.

    Where the data directory is served already, it only says where a browser signs in.
    """
    terminal = replace(open_terminal(), heedless=True)
    password = None if password_file is None else _password_of(password_file)

    def read() -> Loaded:
        loaded = load(common, {"serve.host": host, "serve.port": port})
        return Loaded(_with_password(loaded.settings, password), loaded.origins)

    config = ConfigurationManager.begin(ConfigSource(config_file(common), read))
    settings = config.current
    if (there := entrance_of(settings, VERB)) is not None:
        terminal.say(f"this data directory is served already, at {there.address} (process {there.pid})")
        terminal.say(f"  → {there.page}    {_BY_PASSWORD if there.by_password else _BY_CODE}")
        return 0
    try:
        check_host(settings.serve.host, settings.serve)
    except NoPassword as error:
        raise Refused(str(error), error.hint) from None
    listener = _inherited(fd) if fd is not None else _listener(config, terminal)
    kept = os.dup(listener.fileno()) if reload else None
    browser = terminal.interactive and not no_browser
    changed = run_in_loop(lambda: _serve(config, listener, terminal, reload=reload, browser=browser))
    silence_broken()  # what nobody takes of its words is no reason to end otherwise than it did
    if changed and kept is not None:
        start_again(kept)
    return 0


async def _serve(
    config: ConfigurationManager, listener: socket.socket, terminal: Terminal, *, reload: bool, browser: bool
) -> bool:
    """Serve to the end; whether that came because the source changed."""
    settings = config.current
    allow_files()
    async with AsyncExitStack() as stack:
        core = AsyncServerCore(
            lambda: open_application(settings, verb=VERB, on_wait=say_who_holds(terminal), config=config),
            settings.serve,
            listener=listener,
        )
        serving = asyncio.Event()

        async def reload_when_serving() -> None:
            await serving.wait()  # what is opened meanwhile would not hear of it
            await config.reload()

        stack.enter_context(core.signals())
        stack.enter_context(on_hangup(reload_when_serving, ended=core.begin_shutdown))
        try:
            await stack.enter_async_context(core)
        except ToldToEnd:
            terminal.say("shutting down")
            return False
        stack.callback(config.subscribe(lambda news: _say_news(news, terminal)))
        serving.set()
        if settings.serve.watch:
            await stack.enter_async_context(config.watching())
        began = asyncio.Event()
        watching = asyncio.ensure_future(source_changed(began=began) if reload else asyncio.Event().wait())
        watching.add_done_callback(lambda done: core.begin_shutdown())
        stack.callback(watching.cancel)
        spare_collector()
        if reload:
            await began.wait()  # what changes from now on is seen
        await _say_where(core.address, settings, terminal, browser=browser)
        await core.run_main_loop()
        terminal.say("shutting down")
        await core.aclose()  # while signals are still ours
        return watching.done()


def _say_news(news: News, terminal: Terminal) -> None:
    if isinstance(news, NotReloaded):
        terminal.warn(str(news))
    else:
        terminal.say(str(news))


async def _say_where(address: str, settings: Settings, terminal: Terminal, *, browser: bool) -> None:
    terminal.say(f"Corral listens on {address} ({loop_name()}); Ctrl-C ends it")
    if settings.serve.password is not None:
        terminal.say(f"  → {address}/signin    {_BY_PASSWORD}")
        for line in elsewhere(settings.serve, address):
            terminal.say(line)
        return
    there = await asyncio.to_thread(lambda: entrance_of(settings, VERB, by_password=False))
    if there is None:
        return
    terminal.say(f"  → {there.page}    {_BY_CODE}; `corral serve` again prints another")
    if browser:
        await asyncio.to_thread(webbrowser.open, there.page)


def elsewhere(serve: ServeSettings, address: str) -> tuple[str, ...]:
    """What other machines need to know of a server that listens at every address of this one."""
    if serve.host not in EVERY_ADDRESS:
        return ()
    if serve.hosts:
        port = address.rpartition(":")[2]
        return tuple(f"  → http://{name}:{port}/signin    from other machines" for name in serve.hosts)
    return (
        "  other machines are refused until `serve.hosts` has the name that they use for this one:",
        "  → corral config set serve.hosts NAME,ADDRESS",
    )


def _with_password(settings: Settings, password: SecretStr | None) -> Settings:
    if password is None:
        return settings
    return settings.model_copy(update={"serve": settings.serve.model_copy(update={"password": password})})


def _password_of(file: Path) -> SecretStr:
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise Refused(f"--password-file: {file}: {error.strerror}", "Name a file that holds one line.") from None
    except UnicodeDecodeError:
        raise Refused(f"--password-file: {file} is no text", "Name a file that holds one line.") from None
    if len(password) < MIN_PASSWORD:
        raise Refused(
            f"--password-file: the password in {file} is shorter than {MIN_PASSWORD} characters", "Choose a longer one."
        )
    return SecretStr(password)


def _inherited(fd: int) -> socket.socket:
    try:
        return socket.socket(fileno=fd)
    except OSError as error:
        raise Refused(
            f"--fd: {fd} is no socket ({error.strerror})", "Name the number of one that was inherited."
        ) from None


def _listener(config: ConfigurationManager, terminal: Terminal) -> socket.socket:
    """A socket where the settings say; at the next free port only where nobody asked for one."""
    host, port = config.current.serve.host, config.current.serve.port
    tries = PORTS_TRIED if config.origins["serve.port"] == "default" else 1
    try:
        listener = listen(host, port, tries=tries)
    except OSError as error:
        raise not_listening(host, port, error, tried=tries) from None
    if port not in (0, listener.getsockname()[1]):
        terminal.warn(f"port {port} is taken; using {listener.getsockname()[1]}")
    return listener
