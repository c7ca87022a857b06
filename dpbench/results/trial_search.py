"""Finding one trial by its folder or by its key."""

from __future__ import annotations

import glob
from pathlib import Path

from dpbench.core.errors import DpbenchError
from dpbench.core.folders import expanded
from dpbench.results.trial_folder import TRIAL, UNSCORED, TrialFolder


def find_trial(trial: Path | str, out: Path) -> TrialFolder:
    """The folder of a sampled trial.

    Args:
        trial: its folder, or a unique beginning of its key.
        out: folder of results in which a key is looked up.

    Raises:
        DpbenchError: there is no such trial, or there are several; a folder is a URL or of an unknown user.
    """
    path = expanded(Path(trial))
    if path.is_dir():
        if not TrialFolder(path).is_sampled:
            raise DpbenchError(f"{path} is not the folder of a sampled trial: no {TRIAL} or {UNSCORED} is in it")
        return TrialFolder(path)
    found = [TrialFolder(p) for p in sorted(out.glob(f"*/*/{glob.escape(str(trial))}*")) if TrialFolder(p).is_sampled]
    if len(found) > 1:
        places = ", ".join(str(folder.path) for folder in found)
        raise DpbenchError(f"'{trial}' is the beginning of {len(found)} keys; give one folder: {places}")
    if not found:
        raise DpbenchError(
            f"'{trial}' is neither the folder of a trial nor the beginning of a key in {out}; "
            "`dpbench leaderboard --csv FILE` writes a table with all keys"
        )
    return found[0]
