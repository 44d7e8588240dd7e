"""A way to start a program that is not the one function would be a way around the sandbox."""

import re
from pathlib import Path


def test_no_other_module_spawns_a_process(repository_root: Path) -> None:
    spawning = re.compile(
        r"create_subprocess_|\bsubprocess_(exec|shell)\(|\bimport subprocess|\bfrom subprocess|\bimport multiprocessing"
        r"|\bos\.(fork|forkpty|exec\w+|posix_spawnp?|spawn\w+|system|popen)\b|\bpty\.(fork|spawn)|ProcessPoolExecutor"
    )
    allowed = {
        "infrastructure/processes/child.py",
        "infrastructure/sandbox/launcher.py",
        "backend/cli/reloading.py",  # replaces this very process by the same program anew; starts no other
    }
    found = {
        str(file.relative_to(repository_root))
        for layer in ("agents", "infrastructure", "backend")
        for file in (repository_root / layer).rglob("*.py")
        if spawning.search(file.read_text("utf-8"))
    }

    assert found == allowed
