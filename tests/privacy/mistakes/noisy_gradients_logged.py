"""Logs the norm of the optimiser's gradient.

The optimiser receives the noisy gradient, which is released.
"""

from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def optimizer(self):
        optimizer = super().optimizer()
        optimizer.register_step_pre_hook(lambda o, *_: print(o.param_groups[0]["params"][0].grad.norm().item()))
        return optimizer
