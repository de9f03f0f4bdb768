"""docs/security.md says what the code does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from support.ports import free_port

from broker import Broker
from broker.roles import rights_table, roles_of
from pcb_bus.contract.topics import Topics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_the_table_of_rights_is_that_of_the_code():
    _, _, rest = PAGE.partition("<!-- rights -->\n")
    table, end, _ = rest.partition("\n<!-- /rights -->")
    assert end
    assert table == rights_table(roles_of(Topics("pcb"), ("<side>",)))


def test_a_foreign_client_hears_by_the_line_that_is_shown(tmp_path):
    """With copies of the authority and of the guest's file alone, as on another machine."""
    line = next(each for each in PAGE.splitlines() if each.startswith("mosquitto_sub"))
    with Broker(tmp_path / "broker", free_port(), tls_port=free_port()) as broker:
        for path in ("certificates/authority.pem", "credentials/viewer.yaml"):
            (tmp_path / Path(path).name).write_text((broker.directory / path).read_text())
        inference = broker.credentials("inference")
        said = line.replace("line-pc", "localhost").replace("8883", str(broker.tls_port))
        publish = ["mosquitto_pub", "-V", "5", "-p", str(broker.port), "-u", "inference", "-P", str(inference.password)]
        publish += ["-t", "pcb/verdict", "-m", "seen", "-r"]
        subprocess.run(publish, check=True, timeout=30)
        command = ["bash", "-c", f"{said} -C 1 -W 20"]
        heard = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
    assert heard.stdout == "seen\n", heard.stderr


def test_the_commands_that_are_shown_exist():
    for command, arguments in re.findall(r"-m broker (\w+) ([^\n#`]*)", PAGE):
        options = [each for each in shlex.split(arguments) if each.startswith("--")]
        asked = [sys.executable, "-m", "broker", command, *(["viewer"] if command == "rotate" else []), "--help"]
        shown = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
        assert all(option in shown for option in options), (command, options)
