"""The model of a finished trial, to sample from: no private record is read, and no ε is spent (rule R7).

import dpbench
model = dpbench.load("results/shapes/wavelet/9f2c04d1a7b35e68")
images = model.sample(16)
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import seeded
from dpbench.benchmark.trials.trial_sampling import draw_samples, drawn
from dpbench.core.cache import public_cache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.config import build
from dpbench.core.context import Precision, RunContext
from dpbench.core.errors import FOREIGN, DpbenchError, UnknownName, foreign_code, one_line
from dpbench.core.folders import check_writable, expanded
from dpbench.core.method import Method
from dpbench.core.progress import Display, Quiet
from dpbench.core.registries import METHODS
from dpbench.core.seal import Seal
from dpbench.core.specs import Conditions, DatasetSpec
from dpbench.results.image_export import Exported, check_free, export
from dpbench.results.record import TrialRecord
from dpbench.results.samples import StoredSamples, read_conditions
from dpbench.results.trial_folder import DRAWING, DRAWN, MODEL, SAMPLES, TrialFolder
from dpbench.results.trial_search import find_trial
from dpbench.training.device import resolve_device, resolve_precision


@dataclass(frozen=True)
class StoredModel:
    """The model of a finished trial. Its images have the trial's guarantee, however many are drawn.

    Attributes:
        record: the trial's record from trial.json.
        folder: the trial's folder.
        method: the method, as `fit` left it.
        device: torch device name.
        precision: the precision of the models.
        display: where progress shows.
    """

    record: TrialRecord
    folder: TrialFolder
    method: Method[Any]
    device: str
    precision: Precision
    display: Display

    @property
    def spec(self) -> DatasetSpec:
        """The sensitive dataset's declaration: shape, classes."""
        return self.method.spec

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts of the trial's samples, in order.

        Raises:
            DpbenchError: they are missing or damaged.
        """
        return read_conditions(self.home / SAMPLES).texts or ()

    def labels(self, names: Sequence[str]) -> tuple[int, ...]:
        """Class names, or class numbers as text, as labels.

        Raises:
            UnknownName: there is no such class.
            DpbenchError: the dataset has no classes.
        """
        classes = self.spec.classes or ()
        if not classes:
            raise DpbenchError(f"{self.spec.name} has no classes; leave the labels out")
        numbers = {str(label): label for label in range(len(classes))}
        known = numbers | {name: label for label, name in enumerate(classes)}
        for name in names:
            if name not in known:
                raise UnknownName("class", name, classes)
        return tuple(known[name] for name in names)

    def sample(self, conditions: int | Conditions, seed: int | None = None) -> Tensor:
        """Images: uint8 [n, c, h, w] on the CPU.

        Args:
            conditions: the number of images, with all classes or the trial's prompts in turn; or one condition per
                image, e.g. `Conditions(2, (3, 7))` or `Conditions(1, ("a red star",))`.
            seed: the seed of the generators; the trial's own by default. With the trial's seed, conditions, device and
                precision, the trial's stored samples are drawn again.

        Raises:
            DpbenchError: the conditions do not suit the dataset, or the method returns no images.
        """
        with self._sampling(seed) as run:
            return torch.cat(list(drawn(self.method, self._suitable(conditions), run)))

    def write(self, conditions: int | Conditions, folder: Path, seed: int | None = None) -> StoredSamples:
        """Fills a folder with images in the format of a trial's stored samples. Arguments and errors as `sample`."""
        with self._sampling(seed) as run:
            draw_samples(self.method, self._suitable(conditions), folder, run, Checkpoints(None))
        return StoredSamples(folder, self.spec)

    def export(self, conditions: int | Conditions, out: Path | str | None = None, seed: int | None = None) -> Exported:
        """Draws images and writes them as PNG files, an .npz and a labelled grid.

        Args:
            conditions: as `sample`.
            seed: as `sample`.
            out: an empty or new folder; by default `drawn` in the trial's folder, or in its `sensitive/`.

        Raises:
            DpbenchError: as `sample`; the folder is not empty, or cannot be written.
        """
        folder = self.home / DRAWN if out is None else expanded(Path(out))
        check_free(folder)
        check_writable(folder)
        with _scratch_beside(folder) as shards:
            samples = self.write(conditions, shards, seed)
            return export(samples, folder, str(self.record), self.display)

    @property
    def home(self) -> Path:
        """The folder of the trial's model: the trial's folder, or `sensitive/` in it."""
        return self.folder.home(self.record.is_sensitive)

    def _suitable(self, conditions: int | Conditions) -> Conditions:
        classes = self.spec.n_classes
        if isinstance(conditions, int):
            by_text = self.spec.condition == "captions"
            conditions = Conditions.balanced(conditions, self.prompts if by_text else classes)
        if conditions.count < 1:
            raise DpbenchError(f"the number of images must be at least 1, not {conditions.count}")
        if conditions.condition is not None and len(conditions.condition) != conditions.count:
            raise DpbenchError(f"there are {len(conditions.condition)} conditions for {conditions.count} images")
        if conditions.texts is not None and self.spec.condition != "captions":
            raise DpbenchError(f"{self.spec.name} has no captions, so nothing can be drawn with prompts")
        wrong = [label for label in conditions.labels or () if not 0 <= label < classes]
        if wrong:
            range_ = f"the labels are 0 to {classes - 1}" if classes else "it has no classes"
            raise DpbenchError(f"{self.spec.name} has no label {wrong[0]}; {range_}")
        return conditions

    @contextmanager
    def _sampling(self, seed: int | None) -> Iterator[RunContext]:
        """The working environment in which a trial samples, with all test splits and the public cache closed."""
        cache = public_cache(closed=True)
        chosen = self.record.seed or 0 if seed is None else seed
        with (
            foreign_code(f"sampling from {self.record}"),
            seeded(chosen, "sample") as generator,
            Seal().closed(),
        ):
            yield RunContext(self.device, generator, cache, self.display, None, self.precision)


@contextmanager
def _scratch_beside(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, removed afterwards."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder.parent, prefix=DRAWING)
    except OSError as error:
        raise DpbenchError(f"cannot write {folder}: {error.strerror or error}") from error
    with scratch as name:
        yield Path(name)


def load(
    trial: Path | str, out: Path | str = Path("results"), *, display: Display | None = None, **options: Any
) -> StoredModel:
    """The model of a finished trial, ready to sample from. The dataset is not opened.

    Args:
        trial: the trial's folder, or a unique beginning of its key (the folder's name).
        out: folder of results in which a key is looked up.
        display: where progress shows; by default nowhere.
        options: further fields of `RunRequest`: device, precision, plugins.

    Raises:
        DpbenchError: there is no such trial, its method is not known (the message names the plugin), or its model is
            missing, damaged or from other code.
    """
    request = RunRequest.of(out=out, **options)
    request.load_plugins()
    return load_model(find_trial(trial, request.out), request, display)


def load_model(folder: TrialFolder, request: RunRequest, display: Display | None = None) -> StoredModel:
    """`load` for a trial's folder. Only device and precision of the request are used."""
    record = folder.read_sampled()
    if not record.has_model:
        raise DpbenchError(f"{record} has no model: its images were not drawn by dpbench")
    folder.check_model_and_ledger(record)
    device = resolve_device(request.device)
    with torch.random.fork_rng(devices=[]), Seal().everything_closed():
        method = _restored(record, folder.home(record.is_sensitive) / MODEL)
    if record.is_sensitive:
        warnings.warn(
            f"no finite, verified ε protects this model, and {record.dataset} is not declared public: protect the "
            "model and its images like the records",
            stacklevel=2,
        )
    precision = resolve_precision(request.precision, device)
    return StoredModel(record, folder, method, device, precision, display or Quiet())


def _restored(record: TrialRecord, path: Path) -> Method[Any]:
    """The trial's method with the weights in a file."""
    name = record.method
    if name not in METHODS.names():
        raise DpbenchError(f"the trial's method '{name}' is not known; {_needed(record)}")
    plugin = METHODS.get(name)
    try:
        config: Any = build(plugin.Config, record.config)
    except DpbenchError as error:
        raise DpbenchError(f"the trial's settings of method '{name}': {error}; {_needed(record)}") from error
    if plugin.version != record.method_version:
        warnings.warn(
            f"the model is of version {record.method_version} of '{name}', and this is version {plugin.version}: "
            "its images may differ from the trial's",
            stacklevel=3,
        )
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DpbenchError(f"the trial's model {path} cannot be read: {error}") from error
    try:
        method = plugin(config, record.spec)
        method.load_state_dict(weights)
    except FOREIGN as error:
        raise DpbenchError(
            f"{path} does not suit the method '{name}' as it is now ({one_line(error)}); "
            "load it with the code that made it"
        ) from error
    return method


def _needed(record: TrialRecord) -> str:
    """How to load the plugins that the trial was run with."""
    plugins = record.request.get("plugins")
    if plugins:
        return "it was run with " + " ".join(f"--plugin {path}" for path in plugins)
    return "give its file with --plugin, or install the package that provides it"
