from dpbench.core.peak_memory import peak_memory_mb


def test_the_peak_of_a_process_is_that_of_its_memory():
    assert 10 < (peak_memory_mb("cpu") or 0) < 1e6
