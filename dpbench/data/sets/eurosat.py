"""EuroSAT (Helber et al. 2019): satellite images of land use."""

from __future__ import annotations

from functools import cached_property

from dpbench.core.errors import DataError
from dpbench.data.declared import DeclaredDataset
from dpbench.data.image_files import is_image
from dpbench.data.published_files import PublishedDataset
from dpbench.data.sets.downloading import download
from dpbench.data.splits import split_by_hash

FOLDERS = ("2750", "EuroSAT_RGB", "EuroSAT/2750", "EuroSAT")
MULTISPECTRAL = (".tif", ".tiff")


class EuroSAT(PublishedDataset, DeclaredDataset):
    """Satellite images of ten kinds of land, 64×64 colour, 24,269 + 2,731 (Helber et al. 2019)

    Reads `<root>/eurosat/2750/<class>/<class>_<k>.jpg` (EuroSAT.zip), as torchvision does, or `EuroSAT_RGB` instead of
    `2750`. There is no published split: 10% of the images, chosen by the hash of `<class>/<file>`, are the test split.
    """

    name = "eurosat"
    resolution = 64
    n_train = 24_269
    n_test = 2_731
    classes = (
        "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop",
        "Residential", "River", "SeaLake",
    )  # fmt: skip
    downloadable = True

    @property
    def _where(self) -> str:
        return f"unpack EuroSAT.zip, the RGB edition, into {self.folder}"

    @cached_property
    def _parts(self) -> dict[bool, list[str]]:
        place = self._needed(*FOLDERS)
        found = [
            f"{name}/{path.name}"
            for name in self.classes or ()
            for path in sorted(self._needed((place / name).relative_to(self.folder).as_posix()).iterdir())
            if is_image(path.name) and not path.name.startswith(".")
        ]
        if any(path.lower().endswith(MULTISPECTRAL) for path in found):
            raise DataError(f"{place} is the multispectral edition, with 13 bands: {self._where}")
        train, test = split_by_hash(found, place)
        return {True: train, False: test}

    def _list(self, train: bool) -> list[str]:
        place = self._needed(*FOLDERS).relative_to(self.folder).as_posix()
        return [f"{place}/{path}" for path in self._parts[train]]

    def _condition(self, train: bool) -> list[int]:
        number = {name: label for label, name in enumerate(self.classes or ())}
        return [number[path.partition("/")[0]] for path in self._parts[train]]

    def _download(self) -> None:
        from torchvision.datasets import EuroSAT as Reader

        if not any((self.folder / name).is_dir() for name in FOLDERS):
            archives = {self.folder / "EuroSAT.zip": "c8fa014336c82ac7804f0398fcb19387"}
            download(self.name, lambda: Reader(self.folder.parent, download=True), archives, self._where)
