"""A home folder with stub commands, so that the cluster's shell scripts run without a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOG = 'echo "$(basename "$0") $*" >> "$STUB_LOG"\n'
VENV_PYTHON = "#!/bin/bash\n" + LOG
# Version questions go to the real interpreter; `-m venv DIR` makes a folder with a stub in it.
PYTHON = f"""#!/bin/bash
{LOG}
case $1 in
    -c | --version) exec {sys.executable} "$@" ;;
    -m) mkdir -p "$3/bin"
        echo 'export IN_VENV=1' > "$3/bin/activate"
        cp "$(dirname "$0")/venv-python" "$3/bin/python" ;;
esac
"""


class Home:
    """A HOME whose ~/jetscale is this checkout and whose commands are stubs that log their call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.log = folder / "calls.log"
        self.bin.mkdir()
        (folder / "jetscale").symlink_to(ROOT)
        (folder / ".ray").mkdir()
        (folder / ".ray" / "auth_token").write_text("secret")
        self.stub("python3", PYTHON)
        self.stub("venv-python", VENV_PYTHON)
        self.stub("sudo", '#!/bin/bash\nexec "$@"\n')
        for name in ("apt-get", "mount", "ray"):
            self.stub(name, "#!/bin/bash\n" + LOG)
        self.stub("mountpoint", "#!/bin/bash\nexit 1\n")

    def stub(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command with nothing of the caller's environment but PATH, behind stubs."""
        path = f"{self.bin}:{os.environ['PATH']}"
        base = {"HOME": str(self.folder), "PATH": path, "STUB_LOG": str(self.log)}
        return subprocess.run(
            ["bash", "-c", command],
            env=base | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self, name: str) -> list[str]:
        """Logged calls of a command, each as its arguments."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == name]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "home"
    folder.mkdir()
    return Home(folder)
