"""Mistakes and traps of published implementations, the methods that they apply to, and the tests that cover them.

Add a line for every known mistake of a new method, and the tests to its `tests`. A line without tests is allowed only
while none of its methods is registered.
"""

from __future__ import annotations

from dataclasses import dataclass

EVERY = ("every method",)


@dataclass(frozen=True)
class Published:
    """A mistake in published code or constants.

    Attributes:
        what: the mistake.
        methods: the registered names that it applies to, also of methods that do not exist yet; or `EVERY`.
        tests: "FILE" or "FILE::TEST" below tests/; a file of `mistakes/` is a test of its own.
    """

    what: str
    methods: tuple[str, ...]
    tests: tuple[str, ...] = ()

    def applies_to(self, method: str) -> bool:
        """Whether a method could make it."""
        return self.methods == EVERY or method in self.methods


DP_SGD = ("wavelet", "dp-ar", "dp-sgd", "dpdm", "dp-feta", "dp-feta-pro", "privimage", "dp-ldm", "dp-lora", "dp-gan")
"""Methods that train by DP-SGD."""

MISTAKES = (
    Published(
        "noise is skipped where a batch is degenerate, by an `except` around the step",
        EVERY,
        (
            "privacy/mistakes/errors_skipped.py",
            "privacy/mistakes/every_error_caught.py",
            "privacy/test_vault.py::test_nothing_is_released_when_noise_cannot_be_drawn",
            "methods/test_dp_kernel.py::test_noise_is_added_where_all_generated_images_are_the_same",
        ),
    ),
    Published(
        "no noise for an empty batch",
        DP_SGD,
        ("privacy/test_stepper_noise.py::test_a_batch_that_turns_out_empty_is_noise_alone",),
    ),
    Published(
        "the generator is seeded with a constant before the noise is drawn",
        EVERY,
        (
            "privacy/mistakes/noise_seeded.py",
            "privacy/mistakes/seeds_set_in_fit.py",
            "privacy/test_vault.py::test_experiment_seeds_do_not_reach_the_noise",
            "privacy/test_stepper_noise.py::test_neither_seeds_nor_the_generator_reach_noise_and_sample",
        ),
    ),
    Published(
        "noise is divided by the number of processes, or drawn alike in each",
        EVERY,
        ("privacy/test_world.py",),
    ),
    Published(
        "a sum of gradients is divided by the realised batch, so its sensitivity is unbounded",
        DP_SGD,
        (
            "privacy/mistakes/divided_by_the_batch.py",
            "privacy/test_stepper.py::test_the_divisor_is_the_expected_batch_not_the_realised_one",
        ),
    ),
    Published(
        "noisy central images are divided by the number of records drawn",
        ("dp-feta", "dp-feta-pro"),
        ("methods/test_dp_feta.py::test_sums_are_divided_by_the_expected_count",),
    ),
    Published(
        "a noisy mean embedding is divided by the exact class counts",
        ("dp-merf", "dp-ntk", "dp-kernel", "dp-feta-pro"),
        (
            "methods/test_dp_merf.py::test_counts_are_as_noisy_as_the_features",
            "methods/cores/test_matching_steps.py::test_counts_are_averaged_over_the_releases_so_far",
        ),
    ),
    Published(
        "central coarse images are divided by the exact class counts",
        ("wavelet", "central-wavelet"),
        (
            "methods/wavelet/test_controls.py::test_central_images_are_class_means_with_the_planned_noise",
            "methods/test_central_wavelet.py::test_sums_are_divided_by_noisy_counts",
        ),
    ),
    Published(
        "the gradients of a record's views are summed, or clipped one by one, but accounted for as one record",
        DP_SGD,
        ("privacy/mistakes/views_summed.py", "methods/test_dpdm.py::test_views_repeat_the_same_record"),
    ),
    Published(
        "shuffled batches are accounted for as Poisson samples",
        EVERY,
        (
            "privacy/mistakes/shuffled_batches.py",
            "privacy/test_stepper.py::test_steps_draw_poisson_samples_at_the_planned_rate",
            "privacy/test_vault.py::test_each_release_draws_a_poisson_sample_of_its_own",
        ),
    ),
    Published(
        "noise calibrated for a replaced record, with the ε of an added one, or the other way round",
        EVERY,
        (
            "privacy/test_vault.py::test_neighbouring_datasets_differ_by_at_most_the_clip",
            "privacy/test_published_plans.py",
        ),
    ),
    Published(
        "large batches are truncated, which is not accounted for",
        DP_SGD,
        ("privacy/test_stepper.py::test_batches_of_any_size_are_processed_whole_in_padded_micro_batches",),
    ),
    Published(
        "a query is left out of the printed ε, or ε's are summed by hand",
        EVERY,
        (
            "privacy/test_second_accountant.py::test_every_preset_costs_what_is_claimed",
            "privacy/test_second_accountant.py::test_a_release_that_is_left_out_is_noticed_by_all_of_them",
            "privacy/mistakes/epsilon_column.py",
            "privacy/mistakes/sum_planned_as_steps.py",
        ),
    ),
    Published(
        "the realised batch size is inside a released quantity",
        EVERY,
        (
            "privacy/mistakes/rows_counted.py",
            "privacy/test_vault.py::test_the_global_generator_says_nothing_about_how_many_records_took_part",
        ),
    ),
    Published(
        "settings, or the best of several networks, are selected on the test split",
        EVERY,
        (
            "privacy/mistakes/opens_test_in_prepare.py",
            "benchmark/test_protocol.py::test_test_split_opens_once_after_sampling",
            "benchmark/trials/test_declared_selection.py",
        ),
    ),
    Published(
        "the best weights are chosen by a private loss without noise",
        DP_SGD,
        ("privacy/mistakes/best_weights_by_loss.py", "privacy/mistakes/early_stopping.py"),
    ),
    Published(
        "cached features are used for another split, resolution or network",
        EVERY,
        (
            "evaluation/test_real_cache.py::test_features_of_another_split_or_dataset_are_not_taken",
            "evaluation/test_real_cache.py::test_features_of_another_shape_or_number_are_not_taken",
            "evaluation/test_real_cache.py::test_features_of_other_weights_or_another_resizing_are_not_taken",
        ),
    ),
    Published(
        "unknown settings are ignored",
        EVERY,
        ("core/test_config.py::test_unknown_key_error_suggests_the_nearest",),
    ),
    Published(
        "generated labels or prompts are those of the private records",
        EVERY,
        ("core/test_specs.py::test_balanced_conditions_alternate", "privacy/mistakes/labels_counted.py"),
    ),
    Published(
        "public labels are taken for private classes",
        ("wavelet", "dp-sgd"),
        (
            "methods/test_dp_sgd_method.py::test_private_class_embeddings_start_around_the_public_mean",
            "methods/cores/test_token_model.py::test_private_class_embeddings_start_around_the_public_mean",
        ),
    ),
    Published(
        "`paper` has other sizes than the published ones",
        ("wavelet", "dp-sgd", "dpdm", "dp-merf", "dp-ntk", "dp-kernel"),
        (
            "privacy/test_published_plans.py::test_plan_has_the_published_releases",
            "methods/wavelet/test_wavelet.py::test_paper_preset_is_sit_4_at_256_pixels",
        ),
    ),
    Published(
        "votes are noised with multiplier 50, but accounted for with 484",
        ("privimage",),
        ("methods/test_privimage.py::test_noise_of_the_released_votes_is_the_planned_one",),
    ),
    Published(
        "pretraining is conditional on public classes, not on the private ones that they were assigned to",
        ("privimage",),
        ("methods/test_privimage.py::test_selected_images_are_labelled_by_the_private_class_they_resemble",),
    ),
    Published(
        "a batch of fakes is shared by all records of a step, so that a record's gradient depends on others",
        ("dp-gan",),
        ("methods/test_dp_gan.py::test_a_record_is_paired_with_one_generated_image_inside_its_loss",),
    ),
    Published(
        "the images of a step are accounted for as if each had a discriminator of its own",
        ("gs-wgan",),
        (
            "privacy/test_shard_event.py::test_the_published_noise_costs_hundreds",
            "methods/test_gs_wgan.py::test_published_plan_needs_more_noise_than_published",
        ),
    ),
    Published(
        "all discriminators start from the weights of one of them",
        ("gs-wgan",),
        ("privacy/test_sanitised.py::test_each_record_is_in_one_shard",),
    ),
    Published(
        "base learning rates are used without multiplying them by the batch size",
        ("dp-ldm", "dp-lora"),
        (
            "methods/test_dp_ldm.py::test_published_constants_on_mnist",
            "methods/test_dp_lora.py::test_published_constants",
        ),
    ),
    Published(
        "the embedder of conditions stays frozen",
        ("dp-ldm", "dp-lora"),
        (
            "methods/test_dp_ldm.py::test_attention_and_class_embedder_are_trained_and_nothing_else",
            "methods/test_dp_lora.py::test_adapters_biases_and_class_embedder_are_trained_and_nothing_else",
        ),
    ),
    Published(
        "saliency is a sum of gradients that are not clipped as a whole",
        ("dp-lora",),
        ("methods/test_dp_lora.py::test_contributions_are_squared_norms_of_clipped_gradients",),
    ),
    Published(
        "the learning rate warms up over more steps than are trained",
        DP_SGD,
        ("training/test_loop.py::test_learning_rate_rises_then_falls_to_zero",),
    ),
    Published(
        "a mean of nearest neighbours is divided by the number found",
        ("dp-rdm",),
        ("privacy/test_nearest_mean.py::test_the_divisor_is_k_however_many_records_are_found",),
    ),
    Published(
        "a mean of nearest neighbours is accounted for as if the next one did not take a place that becomes free",
        ("dp-rdm",),
        ("privacy/test_nearest_mean.py::test_twice_the_clip_is_reached",),
    ),
    Published(
        "only some queries are accounted for, or one sample serves several",
        ("dp-rdm",),
        (
            "methods/test_dp_rdm.py::test_queries_are_counted_and_images_are_not",
            "privacy/test_nearest_mean.py::test_each_release_draws_a_poisson_sample_of_its_own",
        ),
    ),
    Published(
        "inversions of several records share an optimiser's state",
        ("dpagg-ti",),
        ("methods/test_dpagg_ti.py::test_an_inversion_depends_on_its_own_image_alone",),
    ),
    Published(
        "the public generator is tuned on private images beside the released vector",
        ("dpagg-ti",),
        ("methods/test_dpagg_ti.py::test_the_generator_is_not_changed_by_private_images",),
    ),
    Published(
        "the noisy function is evaluated at private points",
        ("dp-kernel",),
        ("methods/test_dp_kernel.py::test_private_points_are_never_anchors_and_no_pair_of_them_is_compared",),
    ),
    Published(
        "noise is added to the value of the loss, and its gradient, which trains the generator, has none",
        ("dp-merf", "dp-ntk", "dp-kernel", "dp-feta-pro"),
        ("methods/cores/test_matching_steps.py::test_nothing_but_the_released_values_reaches_the_generator",),
    ),
    Published(
        "generated images get the labels of the private batch",
        ("dp-kernel",),
        ("methods/test_dp_kernel.py::test_labels_of_generated_images_are_equally_many_of_each_class",),
    ),
    Published(
        "the noise of a functional release has another covariance than (noise scale)² K",
        ("dp-kernel",),
        ("methods/test_dp_kernel.py::test_root_times_the_release_is_the_kernel_mean_with_correlated_noise",),
    ),
    Published(
        "the random network of the features changes between the release and the generator's training",
        ("dp-ntk",),
        ("methods/test_dp_ntk.py::test_features_are_public_and_depend_on_the_seed",),
    ),
    Published(
        "all votes below the threshold give 0/0",
        ("pe",),
        (
            "methods/cores/test_candidate_selection.py::test_a_class_without_votes_above_the_threshold_is_drawn_uniformly",
        ),
    ),
    Published(
        "the degree of variation grows for one kind of generator and falls for another",
        ("pe",),
        (
            "methods/test_pe.py::test_degrees_fall_linearly",
            "generators/test_image_generators.py::test_diffusion_noises_an_image_to_the_level_of_the_degree",
            "generators/test_img2img.py::test_the_degree_is_the_strength_and_images_have_the_model_s_size",
        ),
    ),
    Published(
        "a record that votes for several candidates counts more than one that votes once",
        ("pe",),
        ("methods/cores/test_nearest_votes.py::test_one_record_moves_the_votes_by_a_vector_of_norm_one",),
    ),
)
