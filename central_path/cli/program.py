"""What the programs of this project share: JAX's flags, progress on a terminal only, closing words, how they end."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from central_path.cli.starting import INTERRUPTED, restore_interrupts

TICK = 0.5  # seconds between two looks at what is under way


def set_up_jax(*, blas_threads: int | None = 1) -> None:
    """Flags that belong to a program: float64, and compiled programs kept in the user's cache folder (safe to delete).

    In small LAPACK calls a second thread only waits; None leaves their number to the library.

    Equinox's runtime errors are host callbacks, which keep a program out of that cache; as NaN they show in the
    result, which is checked.
    """
    os.environ.setdefault("EQX_ON_ERROR", "nan")
    if blas_threads is not None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(blas_threads))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # reading the cache logs the processor's features as errors
    import jax
    from platformdirs import user_cache_path

    jax.config.update("jax_enable_x64", True)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(user_cache_path("central_path") / "jax"))
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")  # it costs time alone
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def on_terminal() -> bool:
    """Whether somebody looks at stderr, which may be closed."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def ticking(bar: Any) -> Iterator[Any]:
    """A tqdm bar whose clock goes on while the block runs, however long nothing advances it."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(TICK):
            bar.refresh()

    with bar:
        if not bar.disable:
            threading.Thread(target=tick, daemon=True).start()
        try:
            yield bar
        finally:
            ended.set()


@contextmanager
def shown(what: str, *, silent: bool = False) -> Iterator[None]:
    """On a terminal, what is under way and for how long, while the block runs."""
    if silent or not on_terminal():
        yield
        return
    from tqdm import tqdm

    with ticking(tqdm(desc=what, bar_format="{desc} ... {elapsed}", file=sys.stderr, leave=False)):
        yield


def say(text: str) -> None:
    """Print, to a reader that may have left or a full disk behind it: the results are written."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def answer(
    program: str,
    work: Callable[[], tuple[int, str]],
    refusals: tuple[type[Exception], ...] = (ValueError, OSError, MemoryError),
) -> int:
    """Print what the work found, and return its exit code; 2 and a sentence if it refuses, 130 and one for Ctrl-C."""
    try:
        exit_code, text = work()
    except refusals as error:
        print(f"{program}: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted, nothing written", file=sys.stderr)
        return INTERRUPTED
    if text:
        say(text)
    return exit_code


def run_program(main: Callable[[], int]) -> NoReturn:
    """Run a command and end the process with its exit code; SIGTERM is handled as Ctrl-C."""
    try:
        restore_interrupts()
        signal.signal(signal.SIGTERM, terminate)
        exit_code = main()
    except KeyboardInterrupt:  # before the work or after it
        exit_code = INTERRUPTED
    if exit_code:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError):
                stream.flush()
        os._exit(exit_code)  # a solve in its thread, or a process group that others have left, is not waited for
    sys.exit(exit_code)


def terminate(*_: Any) -> None:
    """Handle SIGTERM as Ctrl-C, so that unfinished files are cleared away."""
    raise KeyboardInterrupt


def join_processes() -> None:
    """Join the other processes of this run, as JAX finds them in the environment of Slurm or MPI.

    Raises:
        ValueError: if there are none.
    """
    import jax

    try:
        jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"Need processes started by Slurm or MPI for --distributed, got none ({error}): start them by srun or "
            "mpirun, or leave it out."
        ) from error


def is_first_process() -> bool:
    """Whether this process is the one that writes."""
    import jax

    return jax.process_index() == 0
