"""Captions of faces, written from the attributes of CelebA: two per image, in different words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

HAIR = {
    "Black_Hair": "black",
    "Blond_Hair": "blond",
    "Brown_Hair": "brown",
    "Gray_Hair": "gray",
    "Straight_Hair": "straight",
    "Wavy_Hair": "wavy",
}
FEATURES = {
    "5_o_Clock_Shadow": "a five o'clock shadow",
    "Arched_Eyebrows": "arched eyebrows",
    "Bags_Under_Eyes": "bags under the eyes",
    "Bald": "a bald head",
    "Bangs": "bangs",
    "Big_Lips": "big lips",
    "Big_Nose": "a big nose",
    "Bushy_Eyebrows": "bushy eyebrows",
    "Double_Chin": "a double chin",
    "Goatee": "a goatee",
    "High_Cheekbones": "high cheekbones",
    "Mustache": "a mustache",
    "Narrow_Eyes": "narrow eyes",
    "Oval_Face": "an oval face",
    "Pale_Skin": "pale skin",
    "Pointy_Nose": "a pointy nose",
    "Receding_Hairline": "a receding hairline",
    "Rosy_Cheeks": "rosy cheeks",
    "Sideburns": "sideburns",
    "Mouth_Slightly_Open": "a slightly open mouth",
}
WORN = {
    "Eyeglasses": "eyeglasses",
    "Heavy_Makeup": "heavy makeup",
    "Wearing_Earrings": "earrings",
    "Wearing_Hat": "a hat",
    "Wearing_Lipstick": "lipstick",
    "Wearing_Necklace": "a necklace",
    "Wearing_Necktie": "a necktie",
}
LOOKS = {"Attractive": "attractive", "Chubby": "chubby"}


def describe(attributes: Collection[str]) -> list[str]:
    """Two captions of a face that name all its attributes except `Blurry` and `No_Beard`.

    Args:
        attributes: the face's attributes, by their names in CelebA.
    """
    person = "man" if "Male" in attributes else "woman"
    age = "young" if "Young" in attributes else "old"
    looks, features, worn = (_words(table, attributes) for table in (LOOKS, FEATURES, WORN))
    hair = _words(HAIR, attributes)
    has = [*([f"{' '.join(reversed(hair))} hair"] if hair else []), *features]
    smiles = "Smiling" in attributes

    short = " ".join(["a", *(["smiling"] if smiles else []), age, *looks, person])
    short += f" with {_listed(has)}" if has else ""
    short += f", wearing {_listed(worn)}" if worn else ""
    article = "An" if looks[:1] == ["attractive"] or (age == "old" and not looks) else "A"
    long = [f"{article} {' and '.join([*looks, age])} {person}" + (" smiles" if smiles else " looks into the camera")]
    pronoun = "He" if person == "man" else "She"
    long += [f"{pronoun} has {_listed(has)}"] if has else []
    long += [f"{pronoun} wears {_listed(worn)}"] if worn else []
    return [short.replace("a old", "an old", 1), ". ".join(long)]


def _words(table: Mapping[str, str], attributes: Collection[str]) -> list[str]:
    return [words for name, words in table.items() if name in attributes]


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
