"""Queries the vault in a forked worker process.

Query it in the process of `fit`; use torchrun for several processes on one trial.
"""

import multiprocessing

import torch
from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "a noise key does not cross a fork"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()

        def work():
            torch.set_num_threads(1)
            try:
                answers.put(private.noisy_sum("sum", self.contribution))
            except Exception as error:
                answers.put(error)

        worker = context.Process(target=work)
        worker.start()
        answer = answers.get()
        worker.join()
        if isinstance(answer, Exception):
            raise answer
        self.mean = answer / self.spec.n_train
