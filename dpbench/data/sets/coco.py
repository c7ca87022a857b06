"""MS-COCO captions (Lin et al. 2014, Chen et al. 2015), the editions of 2014 and 2017."""

from __future__ import annotations

from functools import cached_property

from dpbench.core.data import DataOptions
from dpbench.core.files import read_json
from dpbench.data.caption_texts import caption_texts
from dpbench.data.declared import DeclaredDataset
from dpbench.data.published_files import PublishedDataset

COUNTS = {"2017": (118_287, 5_000), "2014": (82_783, 40_504)}
"""Edition -> number of images of train and val."""

Captions = dict[str, list[str]]
"""Path of an image -> its captions."""


class COCO(PublishedDataset, DeclaredDataset):
    """Photographs with five or more captions each, 64×64 colour, 118,287 + 5,000; coco:2014 has 82,783 + 40,504

    Reads `<root>/coco/train2017/`, `val2017/` and `annotations/captions_(train|val)2017.json`, or those of 2014. The
    test split is `val`, as the captions of COCO's own test images are not published. Both editions have the same
    images, divided in different ways. Images without captions are kept, with an empty caption.
    """

    name = "coco"
    resolution = 64
    choices = tuple(COUNTS)
    caption_bytes = 512

    def __init__(self, argument: str, options: DataOptions):
        super().__init__(argument, options)
        self.n_train, self.n_test = COUNTS[self.choice]

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """See `Dataset.collections`."""
        return frozenset({"coco"})

    @property
    def _where(self) -> str:
        archives = f"train{self.choice}.zip, val{self.choice}.zip and annotations_trainval{self.choice}.zip"
        return f"unpack {archives} of cocodataset.org into {self.folder}"

    @cached_property
    def _captions(self) -> dict[bool, Captions]:
        return {True: self._read("train"), False: self._read("val")}

    def _list(self, train: bool) -> list[str]:
        return list(self._captions[train])

    def _condition(self, train: bool) -> list[str]:
        return caption_texts(self._captions[train].values(), self.caption_bytes, self.name)

    def _read(self, split: str) -> Captions:
        """The images and captions of a caption file, joined and ordered by the images' numbers."""
        path = self._needed(f"annotations/captions_{split}{self.choice}.json")
        content = read_json(path)
        try:
            files = {image["id"]: image["file_name"] for image in content["images"]}
            captions: dict[int, list[str]] = {number: [] for number in sorted(files)}
            for annotation in content["annotations"]:
                if annotation["image_id"] in captions:
                    captions[annotation["image_id"]].append(annotation["caption"])
            read = {f"{split}{self.choice}/{_plain(files[n])}": list(map(_text, c)) for n, c in captions.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(path, f"not a caption file of COCO: {type(error).__name__} {error}") from error
        if len(read) < len(files):
            raise self._damaged(path, "two images have the same file name")
        return read


def _plain(name: str) -> str:
    if "/" in name or "\\" in name:
        raise ValueError(f"{name!a} is not a file name")
    return name


def _text(caption: object) -> str:
    if not isinstance(caption, str):
        raise TypeError(f"{caption!a} is not a caption")
    return caption
