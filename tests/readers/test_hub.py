"""The hub's cache, as quantizer fills it and as Python's huggingface_hub does: each finds what the other has downloaded.

Run by scripts/check-readers, which says where quantizer is.
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from hub import COMMIT, FILES, REPOSITORY, Hub, etag

DOWNLOAD = f"""
import sys
from huggingface_hub import hf_hub_download
for name in {sorted(FILES)}:
    print(hf_hub_download({REPOSITORY!r}, name, local_files_only=sys.argv[1] == "local"))
"""
SCAN = "from huggingface_hub import scan_cache_dir as scan; print(scan().warnings, [r.repo_id for r in scan().repos])"


class Cache(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONDONTWRITEBYTECODE")}
        self.environment = {
            **kept, "HOME": str(self.home), "HF_HOME": str(self.home / "hf"), "HF_ENDPOINT": self.hub.endpoint,
            "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        (self.home / "in.fasta").write_text(">a\nMKTAYIA\n")

    def run_program(self, *command, **variables):
        done = subprocess.run(
            command, cwd=self.home, env={**self.environment, **variables}, capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def quantizer(self, out, **variables):
        program = os.environ["QUANTIZER"]
        self.run_program(program, "reference", REPOSITORY, "--fasta", "in.fasta", "-o", out, **variables)
        return (self.home / out / "a.safetensors").read_bytes()

    def python(self, *arguments, **variables):
        return self.run_program(sys.executable, "-c", *arguments, **variables)

    def in_snapshot(self):
        snapshot = self.home / "hf/hub/models--lab--tiny/snapshots" / COMMIT
        return [str(snapshot / name) for name in sorted(FILES)]

    def layout(self):
        """All files and links, but for the notes that Python leaves beside them."""
        repository = self.home / "hf/hub/models--lab--tiny"
        paths = [path for path in repository.rglob("*") if not path.is_dir() and not path.name.startswith(".")]
        return {
            str(path.relative_to(repository)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in paths
        }

    def test_python_finds_what_quantizer_downloaded(self):
        self.quantizer("out")
        self.assertEqual(self.python(DOWNLOAD, "local").splitlines(), self.in_snapshot())
        self.assertEqual(self.python(SCAN).strip(), f"[] ['{REPOSITORY}']")
        before = len([path for _, path in self.hub.requests if path == "/model.safetensors"])
        self.assertEqual(self.python(DOWNLOAD, "online").splitlines(), self.in_snapshot())
        after = len([path for _, path in self.hub.requests if path == "/model.safetensors"])
        self.assertEqual((before, after), (1, 1), "Python downloads nothing again")

    def test_quantizer_finds_what_python_downloaded(self):
        self.python(DOWNLOAD, "online")
        requests = len(self.hub.requests)
        offline = self.quantizer("offline", HF_HUB_OFFLINE="1")
        online = self.quantizer("online")
        self.assertEqual(offline, online)
        self.assertEqual(len(self.hub.requests), requests)

    def test_both_write_the_same(self):
        self.python(DOWNLOAD, "online")
        pythons = self.layout()
        self.assertEqual({name: content for name, content in pythons.items() if name.startswith("blobs/")},
                         {f"blobs/{etag(name)}": content for name, content in FILES.items()})  # fmt: skip
        (self.home / "hf").rename(self.home / "pythons")
        self.quantizer("out")
        self.assertEqual(self.layout(), pythons)


if __name__ == "__main__":
    unittest.main()
