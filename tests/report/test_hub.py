"""A bundle to the hub, with a module that stands for huggingface_hub: what goes up, and what is refused before."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from w2svqa.core.errors import BundleError, ConfigError, MissingExtraError, W2SVQAError
from w2svqa.report.hub import push_bundle, write_model_card
from w2svqa.students.bundle import write_card
from w2svqa.students.model_card import README


class HubError(Exception):
    """As the hub's own."""


@dataclass
class FakeHub:
    """Keeps what it is asked for."""

    refuses: bool = False
    calls: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def create_repo(self, repository: str, **named: object) -> None:
        self.calls.append(("create", {"repository": repository, **named}))
        if self.refuses:
            raise HubError("401 Client Error\nRequest ID: x")

    def upload_folder(self, **named: object) -> SimpleNamespace:
        self.calls.append(("upload", named))
        return SimpleNamespace(commit_url="https://hub.invalid/me/try/commit/1")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    module, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
    vars(module).update(HfApi=lambda: fake, errors=errors)
    kinds = ("HfHubHTTPError", "HFValidationError", "LocalTokenNotFoundError")
    vars(errors).update(dict.fromkeys(kinds, HubError))
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return fake


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "encoder.onnx").write_bytes(b"network")
    write_card(tmp_path, {"name": "try"})
    (tmp_path / "notes.txt").write_text("not listed")
    return tmp_path


def test_listed_files_card_and_readme_go_up(bundle: Path, hub: FakeHub) -> None:
    (bundle / README).unlink()
    assert push_bundle(bundle, "me/try", private=True) == "https://hub.invalid/me/try/commit/1"
    (_, made), (_, sent) = hub.calls
    assert made == {"repository": "me/try", "repo_type": "model", "private": True, "exist_ok": True}
    assert sent["folder_path"] == bundle
    assert sent["allow_patterns"] == ["encoder.onnx", "card.json", "README.md"]
    assert (bundle / README).exists()


def test_nothing_goes_up_that_is_damaged_or_has_no_name(bundle: Path, hub: FakeHub) -> None:
    for name in ("try", "a/b/c", "/x", "me/..", ""):
        with pytest.raises(ConfigError, match="OWNER/NAME"):
            push_bundle(bundle, name)
    (bundle / "encoder.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="is damaged"):
        push_bundle(bundle, "me/try")
    with pytest.raises(BundleError, match=r"has no card\.json"):
        push_bundle(bundle / "nowhere", "me/try")
    assert hub.calls == []


def test_a_hub_that_refuses_is_one_line(bundle: Path, hub: FakeHub) -> None:
    hub.refuses = True
    with pytest.raises(W2SVQAError, match=r"me/try was not written: 401 Client Error \(check the name") as caught:
        push_bundle(bundle, "me/try")
    assert "\n" not in str(caught.value)


def test_without_the_package_the_pip_line_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'w2svqa\[llm\]'"):
        push_bundle(bundle, "me/try")


def test_a_card_is_written_anew_with_a_licence(bundle: Path) -> None:
    assert write_model_card(bundle, license="MIT") == bundle / README
    assert "license: mit\n" in (bundle / README).read_text()
