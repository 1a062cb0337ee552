"""What the device can do, for `bench`, measured before and after every round: what engines have shares of."""

import statistics

COPIED = 2**28              # float32 numbers: a GiB, far more than any cache holds
SIDE = 8192                 # of the matrices
REPEATS = 5


class OfProcessor:
    """Multiply-adds in registers, of the threads in force."""

    def call(self, method):
        return getattr(self, method)()

    def measure(self):
        from scratchnet.kernels.cpu import ceiling
        return {"gflops": 2e-9 * ceiling.multiply_adds()}

    def close(self):
        """Nothing is held."""


class OfDevice:
    """A copy from device memory to device memory, and a product of large matrices by cuBLAS in one precision. Random
    numbers: on zeros a device is faster. Between measurements nothing is held."""

    def __init__(self, precision):
        import cupy

        from scratchnet.rivals.ours import meter
        self.cupy, self.meter, self.precision = cupy, meter(), precision

    def measure(self):
        """gflops of the product; copy_gbytes a second, those read and those written both counted."""
        seconds = self._median(self._copy())
        found = {"copy_gbytes": 2e-9 * 4 * COPIED / seconds}
        self.meter.rest()
        found["gflops"] = 2e-9 * SIDE**3 / self._median(self._product())
        self.meter.rest()
        return found

    def _copy(self):
        x = self.cupy.random.default_rng(0).standard_normal(COPIED, dtype="float32")
        y = self.cupy.empty_like(x)
        return lambda: self.cupy.copyto(y, x)

    def _product(self):
        from scratchnet import use_precision
        from scratchnet.kernels.cuda.precision import factors, product
        with use_precision(self.precision):
            a, b = factors(*self.cupy.random.default_rng(0).standard_normal((2, SIDE, SIDE), dtype="float32"))

        def run():
            with use_precision(self.precision):
                product(a, b)
        return run

    def _median(self, run):
        self.meter.seconds_of(run, 2)
        return statistics.median(self.meter.seconds_of(run, 1) for _ in range(REPEATS))
