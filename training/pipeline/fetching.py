"""Bring a base model from a Hugging Face hub to a folder. No torch, no Django.

The folder is whole or absent: files of one commit are written aside, held against the hub's hashes,
sealed with a manifest and renamed. Settings and tokenizer come first, so that a model that could
not be used is refused before its weights are fetched. What broke off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.pipeline.checkpoints import check_model_folder, check_model_settings, seal
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.estimate import in_words
from training.pipeline.machine import disk_free
from training.pipeline.pushing import Progress

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SETTINGS = re.compile(
    r"[\w-]+\.(json|jinja|model|txt)|model\.safetensors\.index\.json|(README|LICEN[CS]E|NOTICE)[\w.-]*",
    re.ASCII,
)
"""Files beside the weights that a language model may need, and what it may be used for."""
RETRIES, PAUSE_S = 5, 4.0
"""How often a file is gone on with after the network broke off, so many seconds later."""
ASIDE = ".fetching"
"""Beside the models' folders: what is on its way."""
SHARD = re.compile(r"[\w-]+\.safetensors", re.ASCII)


def fetch_model(repo: str, revision: str, folder: Path, progress: Progress) -> None:
    """Bring the model `repo` to `folder`, whose manifest says which commit was taken.

    An empty revision is the newest commit. Which hub is asked, and as whom, say HF_ENDPOINT and
    HF_TOKEN. Raise PipelineError for a model that could not be used here, RunStopped when
    `progress` is to stop.
    """
    from huggingface_hub import HfApi, constants

    constants.HF_HUB_OFFLINE = False  # asked for by a person, as a push is
    with _in_words(repo):
        info = HfApi(library_name="labelstudio-llm").model_info(
            repo, revision=revision or None, files_metadata=True
        )
    files = {one.rfilename: one for one in info.siblings or []}
    source = {"repo": repo, "commit": str(info.sha)}
    aside = aside_of(folder)
    aside.mkdir(parents=True, exist_ok=True)

    def fetch(names: list[str]) -> None:
        with _in_words(repo):
            for name in names:
                _fetch(source, files[name], aside / name, progress)

    settings = [name for name in files if SETTINGS.fullmatch(name)]
    fetch(settings)
    check_model_settings(aside)
    _check_chat_template(aside, repo)
    weights = _weights(files, aside, repo)
    progress.total = sum(files[name].size or 0 for name in settings + weights)
    _check_disk(progress.total - progress.done, aside)
    fetch(weights)
    check_model_folder(aside)
    for path in aside.iterdir():  # of another commit, if the model changed since it broke off
        if path.name not in {*settings, *weights}:
            path.unlink()
    seal(aside, {"hub": source})
    aside.rename(folder)


def aside_of(folder: Path) -> Path:
    """Return where a model lies until it is whole."""
    return folder.parent / ASIDE / folder.name


def _weights(files: Mapping[str, Any], aside: Path, repo: str) -> list[str]:
    """Return the files of the weights; a hub may have the same in other formats beside them."""
    if WHOLE in files:
        return [WHOLE]
    if INDEX not in files:
        raise PipelineError(
            f"{repo} has no {WHOLE}: its weights are in another format, which is not loaded here. "
            "Choose a model in safetensors."
        )
    try:
        index = json.loads((aside / INDEX).read_text(encoding="utf-8"))
        shards = sorted(set(index["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PipelineError(f"{INDEX} of {repo} can't be read. Choose another model.") from None
    if not shards or not all(SHARD.fullmatch(str(name)) and name in files for name in shards):
        raise PipelineError(
            f"{repo} lacks files of weights that its {INDEX} names. Choose another model."
        )
    return shards


def _check_chat_template(aside: Path, repo: str) -> None:
    told = json.loads((aside / "tokenizer_config.json").read_text(encoding="utf-8"))
    files = ("chat_template.jinja", "chat_template.json")
    if not told.get("chat_template") and not any((aside / name).is_file() for name in files):
        raise PipelineError(f"{repo} has no chat template. Choose an instruction-tuned model.")


def _check_disk(needed: int, aside: Path) -> None:
    free = disk_free(aside)
    if needed > free:
        raise PipelineError(
            f"{in_words(needed)} of the model are still to come, and {in_words(free)} are free "
            f"where {aside.parent} lies. Free some space first."
        )


def _fetch(source: Mapping[str, str], there: Any, path: Path, progress: Progress) -> None:
    """Write one file, on from what an earlier attempt left, and hold it against its hash."""
    from huggingface_hub.errors import HfHubHTTPError

    before = progress.done
    for tries_left in reversed(range(RETRIES + 1)):
        progress.check()
        if _is_same(path, there):
            break
        progress.done = before
        try:
            _stream(source, there, path, progress)
        except (RunStopped, HfHubHTTPError, OSError):
            raise
        except Exception:  # of the network: the client's own, and of what it is built on
            if not tries_left:
                raise
            progress.stop.wait(PAUSE_S)
        else:
            break
    if not _is_same(path, there):
        path.unlink()
        raise PipelineError(
            f"{there.rfilename} did not arrive as the hub has it: its hash is another. Fetch it "
            "again."
        )
    progress.done = before + there.size


def _stream(source: Mapping[str, str], there: Any, path: Path, progress: Progress) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

    have = path.stat().st_size if path.is_file() and path.stat().st_size < there.size else 0
    headers = build_hf_headers(library_name="labelstudio-llm")
    if have:
        headers["Range"] = f"bytes={have}-"
    url = hf_hub_url(source["repo"], there.rfilename, revision=source["commit"])
    with http_stream_backoff(
        "GET", url, headers=headers, follow_redirects=True, max_retries=0
    ) as answer:
        hf_raise_for_status(answer)
        goes_on = answer.status_code == 206
        progress.done += have if goes_on else 0
        with path.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
                progress.count(len(chunk))


def _is_same(path: Path, there: Any) -> bool:
    """Return whether a file is what the hub says: by SHA-256, or by git's hash."""
    if not path.is_file() or path.stat().st_size != there.size:
        return False
    with path.open("rb") as file:
        if there.lfs is not None:
            return bool(hashlib.file_digest(file, "sha256").hexdigest() == there.lfs.sha256)
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return bool(blob.hexdigest() == there.blob_id)


@contextmanager
def _in_words(repo: str) -> Iterator[None]:
    """Tell what a hub answers, or that there is none, as a sentence."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (PipelineError, RunStopped):
        raise
    except GatedRepoError:
        raise PipelineError(
            f"{repo} is given out to people who were let in alone. Ask for access on its page, and "
            "set HF_TOKEN to a token of yours where the worker runs."
        ) from None
    except RepositoryNotFoundError:
        raise PipelineError(
            f"The hub has no model {repo}, or none that may be seen from here. Write it as "
            "owner/name; for a private one set HF_TOKEN where the worker runs."
        ) from None
    except RevisionNotFoundError:
        raise PipelineError(
            f"{repo} has no such branch, tag or commit. Leave the revision empty for the newest."
        ) from None
    except OSError as error:
        if error.errno is not None and not isinstance(error, ConnectionError):
            raise PipelineError(
                f"{repo} could not be written down: {error.strerror}. Look at the disk, then fetch "
                "it again; it goes on where it stopped."
            ) from error
        raise _unreachable(repo, error) from error
    except Exception as error:  # the client has errors of its own, and of what it is built on
        raise _unreachable(repo, error) from error


def _unreachable(repo: str, error: Exception) -> PipelineError:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return PipelineError(
        f"{repo} could not be fetched: {said}. Look at the network and at HF_ENDPOINT, then fetch "
        "it again; it goes on where it stopped."
    )
