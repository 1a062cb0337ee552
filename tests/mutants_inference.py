"""Mutants of sn.for_inference."""

from mutant_rows import rows

FOLDING = "tests/test_inference.py::test_folding"
MEMORY = "tests/test_inference_memory.py"

rows("scratchnet/inference/fold.py", FOLDING,
     ("behind a ReLU", "    if linear.relu:\n        return False\n", ""),
     ("a norm behind a sum", "isinstance(step, Norm) and not has_residual", "isinstance(step, Norm)"),
     ("every ReLU plain", "and step.layer.pieces == PLAIN", ""),
     ("a second sum", "linear.takes_residual and not has_residual", "linear.takes_residual"),
     ("the scale of a residual forgotten", "            _scale(linear, step.layer.scale)\n", "            pass\n"),
     ("the shortcut scaled instead", "    elif step.layer.scale == 1:\n", "    elif True:\n"),
     ("no epsilon", "sqrt(var + norm.layer.epsilon)", "sqrt(var)"),
     ("the mean added", "beta - s * mean", "beta + s * mean"),
     ("the bias not scaled", 'else linear.b.astype("float64") * s', 'else linear.b.astype("float64")'),
     ("the shift forgotten where there is a bias", "t if linear.b is None else linear.b + t",
      "t if linear.b is None else linear.b"))
rows("scratchnet/inference/fold.py", "tests/test_inference.py::test_folded_weights_are_rounded_once",
     ("the factor rounded", "    return s, beta - s * mean", '    return s.astype("float32"), beta - s * mean'))
rows("scratchnet/inference/trace.py", FOLDING,
     ("a layer known by its ancestors", "forward = type(layer).forward\n",
      "forward = type(layer).__mro__[-3].forward\n"),
     ("main is the shortcut", "self.add(Sum, layer, shortcut, main)", "self.add(Sum, layer, main, shortcut)"))
rows("scratchnet/inference/steps.py", "tests/test_inference.py",
     ("packed kernels whatever is asked for", "self.packed is not None and ops(x) is kernels(self.fast)",
      "self.packed is not None"),
     ("operands not compared", "        check_operands(self.layer, x)\n", ""),
     ("statistics of the model itself", "[array.copy() for array in arrays]", "list(arrays)"),
     ("weights of the model itself", "self.w.astype(self.dtype)", "self.w.astype(self.dtype, copy=False)"))
rows("scratchnet/inference/arena.py", MEMORY,
     ("an array dies a step early", "blocks[other][1] <= last and", "blocks[other][1] < last and"),
     ("the result in the arena", "step.output != result", "last.setdefault(step.output, index) >= 0"),
     ("arrays where they happen to end", "// LINE) * LINE", "// 1) * 1"),
     ("gaps never used", "            if begin - start >= size:\n                break\n", ""))
rows("scratchnet/inference/__init__.py", FOLDING,
     ("a view of memory that is used again", "_copied(y) if isinstance(step, Call) and _share(y, arena) else y", "y"))
rows("scratchnet/inference/__init__.py", "tests/test_inference.py",
     ("watched inside", "        with unwatched():\n", "        if True:\n"),
     ("plans without end", "            if len(self._plans) >= PLANS:\n                self._plans = {}\n", ""),
     ("gradients kept", "        copies[id(parameter._grad)] = None\n", ""),
     ("shapes not compared", "if y.shape != plan.shapes[index]:", "if False:"))
rows("scratchnet/inference/__init__.py", MEMORY,
     ("the images returned", "y.copy() if _share(y, images) or", "y.copy() if"),
     ("one arena for all", "arena = plan.borrow() if plan.places", "arena = vars(self).setdefault(\n"
      "            images.shape, plan.borrow()) if plan.places"))
rows("scratchnet/inference/replay.py", "tests/gpu/test_cuda_inference.py",
     ("what a graph writes over is returned", "captured(images).copy()", "captured(images)"),
     ("graphs without end", "                self.done.synchronize()          # the oldest may be running\n            self._forget_the_oldest()\n",
      "                self.done.synchronize()\n"),
     ("a recording is tried again", "splitlines()[0], None", "splitlines()[0], self.ran[key]"),
     ("given up for all images", "self.fits = isinstance(error, MemoryError)", "self.fits = False"))
rows("kernels/cuda/packed.py", "tests/gpu/test_cuda_inference.py",
     ("weights are rounded at every call", "if self.rounded is None:", "if True:"),
     ("weights for all before they are there", "cupy.cuda.get_current_stream().synchronize() ", "pass "),
     ("the shift of a residual forgotten", "self.zeros if self.b is None else self.b", "self.zeros"))
