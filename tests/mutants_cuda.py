"""Mutants of the kernels for a GPU and of what launches them. Their tests run them on the host."""

from mutant_rows import rows

POINTWISE, WINDOWS = "tests/gpu/test_cuda_pointwise.py", "tests/gpu/test_cuda_windows.py"
BFLOAT16, OPERATIONS = "tests/gpu/test_cuda_bfloat16.py", "tests/gpu/test_cuda_bfloat16_operations.py"
BATCH_NORM = f"{POINTWISE}::test_batch_norm_with_a_residual_and_its_gradients"
CONVOLUTION = f"{WINDOWS}::test_convolution_and_both_gradients"
UPDATES = "tests/gpu/test_cuda_training.py::test_an_update_of_many_parameters_at_once"
TENSOR = ("tests/gpu/test_cuda_conv_tensor.py::"
          "test_few_blocks_share_out_k_and_their_sums_are_added_before_the_activation")

rows("kernels/cuda/common.cuh", f"{POINTWISE}::test_relu_and_its_gradient",
     ("the last round is left out", "round_ < PER_THREAD; round_++", "round_ < PER_THREAD - 1; round_++"))
rows("kernels/cuda/common.cuh", f"{BFLOAT16}::test_a_float32_is_rounded_to_the_nearest_bfloat16_and_ties_to_even",
     ("ties go up", "0x7fff + (whole >> 16 & 1)", "0x8000"),
     ("NaN becomes infinity", "value != value ? 0x7fff : ", ""))
rows("kernels/cuda/launch.py", f"{BFLOAT16}::test_a_kernel_never_meets_arrays_of_both_dtypes",
     ("float32 may be read as bfloat16", "len(set(dtypes.values())) > 1", "len(set(dtypes.values())) > 2"))
rows("kernels/cuda/precision.py", f"{BFLOAT16}::test_factors_are_bfloat16_where_that_is_in_force_or_one_of_them_is",
     ("outside of the block bfloat16 meets float32", " or any(array.dtype != launch.FLOAT32 for array in arrays)", ""))
rows("kernels/cuda/launch.py", "tests/gpu/test_cuda_launch.py::test_what_cublas_is_asked_for_is_the_product",
     ("rows are where the columns should be", "N if straight[1] else K", "K if straight[1] else N"),
     ("a product over nothing stays unwritten", "out.data.memset_async(0, out.nbytes)", "pass"))
rows("kernels/cuda/arithmetic.py", f"{OPERATIONS}::test_an_operation_on_bfloat16_is_that_on_the_same_numbers",
     ("float32 is narrowed where it meets bfloat16", "else [cast(x, FLOAT32) for x in xs]",
      "else [cast(x, sorted(xs, key=lambda x: x.dtype.itemsize)[0].dtype) for x in xs]"))
rows("scratchnet/train.py", "tests/gpu/test_precision_command.py::test_a_run_remembers_its_precision_and_goes_on_in_no_other",
     ("the precision is forgotten", "None if args.precision == cli.EXACT else args.precision", "None"))
rows("kernels/cuda/columns.cuh", f"{POINTWISE}::test_a_bias_gradient_alone_and_behind_an_activation",
     ("sums are read before all are written", "    __syncthreads();\n    float sum", "    float sum"),
     ("a part ends a row early", "(blockIdx.y + 1) * rows, M)", "(blockIdx.y + 1) * rows, M - 1)"))
rows("kernels/cuda/batch_norm.cu", BATCH_NORM,
     ("moments are joined without their counts", "distance * distance * a.count * share", "distance * distance * share"),
     ("the mean has no gradient", "g - mean_g[j] - (here.at[j]", "g - (here.at[j]"),
     ("moments are overwritten while they are read", "__syncthreads();                             // before the next",
      "// before the next"),
     ("the second column has the first one's shift", "shift[j] = beta[c + j];\n        scale[j]",
      "shift[j] = beta[c];\n        scale[j]"))
rows("kernels/cuda/batch_norm.cu",
     f"{POINTWISE}::test_a_variance_far_below_the_square_of_the_mean_keeps_its_digits",
     ("squares are not taken from the first number", "first = several(x + (long long)start * C + c)",
      "first = Several{}"))
rows("kernels/cuda/max_pool.cu", f"{WINDOWS}::test_max_pool_and_its_gradient",
     ("the last of equal maxima wins", "value > most ||", "value >= most ||"))
rows("kernels/cuda/avg_pool.cu", f"{WINDOWS}::test_average_pool_and_its_gradient",
     ("the first window that holds an element is left out", "max(ih + top - KH + SH, 0) / SH",
      "max(ih + top - KH, 0) / SH + 1"))
rows("kernels/cuda/tile.cuh", CONVOLUTION,
     ("a slice is overwritten while it is multiplied", "add_products(tiles, sum);\n        __syncthreads();",
      "add_products(tiles, sum);"))
rows("kernels/cuda/conv.cu", CONVOLUTION,
     ("a row below the image", "h < g.H && w >= 0 && w < g.W;\n            values[i] = inside ? (float)x[((image[i]",
      "h <= g.H && w >= 0 && w < g.W;\n            values[i] = inside ? (float)x[((image[i]"))
rows("kernels/cuda/conv.cuh", CONVOLUTION,
     ("a phase has taps that reach no window", "tap < step && tap * D % S != phase", "tap < 0"),
     ("windows go up by one whatever the dilation", "down = step * D / S", "down = 1"))
rows("kernels/cuda/tile_tensor.cuh", TENSOR,
     ("a slice is read before it has come", "wait_for_groups<STAGES - 2>", "wait_for_groups<STAGES - 1>"),
     ("a slice is read that has come for this thread alone", "        __syncthreads();                         // and for all",
      "        // and for all"),
     ("a stage is filled while it is read", "int full = 0, empty = STAGES - 1;", "int full = 0, empty = 0;"),
     ("A's matrices go along k first", "FIRST_ROW + i * 16, step, true", "FIRST_ROW + i * 16, step, false"),
     ("factors of TF32 are cut off, not rounded", "piece[matrix] = round_to_tf32(piece[matrix])", ";"),
     ("results are overwritten before the warp has read them",
      "&results[row][column]);\n        }\n        __syncwarp();", "&results[row][column]);\n        }"))
rows("kernels/cuda/conv_tensor.cu", TENSOR,
     ("a counter does not carry", "fast -= fasts, middle++", "fast -= fasts"),
     ("windows wrap around to the next line", "(unsigned)(h[i] + dh) < H && (unsigned)(w[i] + dw) < W",
      "(unsigned)(h[i] + dh) < H"),
     ("rows of the matrix behind the last k", "k < last && Layout::row(i) < columns", "Layout::row(i) < columns"),
     ("each share adds the bias", "if (partial) keep(", "if (false) keep("),
     ("gradients of pixels behind the last", "k.slow < N && ", ""))
rows("kernels/cuda/depthwise.cu", f"{WINDOWS}::test_depthwise_convolution_and_both_gradients",
     ("a line's last pixels are its neighbour's first", "if (p < pixels) *", "*"))
rows("kernels/cuda/dropout.cu", f"{POINTWISE}::test_dropout_draws_the_bits_of_the_reference",
     ("another key", "k1 += 0xBB67AE85u", "k1 += 0xBB67AE86u"))
rows("kernels/cuda/loss.cu", f"{POINTWISE}::test_a_logit_of_minus_infinity_costs_nothing_where_the_target_is_zero",
     ("zero times infinity", "if (t != 0.0f) term -=", "term -="))
rows("kernels/cuda/optim.py", UPDATES,
     ("the last element of a chunk's width is left out", "range(0, row[-1], CHUNK)", "range(0, row[-1] - 1, CHUNK)"))
rows("kernels/cuda/launch.py", "tests/gpu/test_cuda_launch.py::test_cupy_receives_numbers_of_the_kernels_own_types",
     ("None is passed on", "return NULL", "return None"),
     ("floats are doubles", 'if kind == "float":\n        return number', 'if kind == "float":\n        return numpy.float64'))
rows("scratchnet/backend.py", "tests/test_backend.py::test_float32_arrays_of_cupy_get_the_kernels_for_cuda",
     ("CuPy arrays stay with the reference", '"cuda" if is_cupy(x) else "reference"', '"reference"'))

REPLAYED = "tests/gpu/test_replayed_training.py"
TRAINING = "tests/gpu/test_cuda_training.py"
CHANGES = f"{REPLAYED}::test_what_changes_between_two_steps_counts_from_the_next_one"
rows("kernels/cuda/graph.py", f"{REPLAYED}::test_every_optimiser_and_a_changing_rate_to_the_same_bits_with_a_partial_last_batch",
     ("a number written once", "if value != self.value:", "if self.value is None:"),
     ("nothing counted in a replay", "            action()\n        self.graph", "            pass\n        self.graph"),
     ("arrays from the pool of all", "cupy.cuda.using_allocator(pool.malloc)", "contextlib.nullcontext()"),
     ("the first batch again and again", "ours.data.copy_from_device_async(given.data, ours.nbytes)", "pass"))
rows("kernels/cuda/optim.py", f"{REPLAYED}::test_a_graph_keeps_the_tables_that_it_reads",
     ("a table let go", "    kept(*_tables[rows])\n", ""))
rows("kernels/cuda/optim.cu", f"{TRAINING}::test_a_gradient_that_is_not_finite_changes_nothing_in_any_parameter",
     ("a bad step counts", "steps[i] += !was_bad", "steps[i] += 1"),
     ("all steps after a bad one are skipped", "*skipped = was_bad, *bad = 0", "*skipped = was_bad"),
     ("infinity is let in", "array(row, 1)[i] - array(row, 1)[i] == 0.0f", "array(row, 1)[i] == array(row, 1)[i]"))
rows("kernels/cuda/optim.cu", UPDATES,
     ("corrections a step late", "double t = steps[parameter] + 1,", "double t = steps[parameter],"))
rows("kernels/cuda/training.cu", f"{TRAINING}::test_running_statistics_follow_the_batchs_but_where_those_are_not_finite",
     ("running statistics become NaN", "c >= C || !is_finite(mean[c]) ||", "c >= C ||"))
rows("kernels/cuda/training.cu", f"{TRAINING}::test_a_tally_has_the_loss_and_the_hits_of_a_batch",
     ("of equals the last", "return same ? i < j :", "return same ? i > j :"))
rows("scratchnet/replay.py", CHANGES,
     ("settings of layers are not looked at", "self.tables += vars(layer), layer._ch", "self.tables += layer._ch"),
     ("frozen layers are trained on", '"_has_grad", "trainable")', '"_has_grad")'),
     ("the optimiser's settings are not looked at", "optimizer.parameters, optimizer.settings,", "optimizer.parameters,"))
rows("scratchnet/arriving.py", "tests/gpu/test_arriving.py::test_each_step_sees_its_batch_however_late_it_or_the_copy_is",
     ("a copy over what a step still reads", "stream.wait_event(self.left) ", "pass "),
     ("a batch written over one that is not copied yet", "self.arrived.synchronize() ", "pass "),
     ("a step before its batch is there", "cuda.get_current_stream().wait_event(self.arrived)", "pass"))
rows("scratchnet/data/batches.py", "tests/gpu/test_arriving.py",
     ("images are not resized for a GPU", " and self.preprocessing.size in (None, self.x.shape[1:3])", ""),
     ("an epoch of one's own is passed by", "type(self) is Batches and ", ""))
rows("kernels/cuda/pixels.cu", f"{TRAINING}::test_bytes_are_normalised_to_the_bits_of_the_host",
     ("one rounding for two", "__fadd_rn(__fmul_rn(pixel, scale[c]), shift[c])", "__fmaf_rn(pixel, scale[c], shift[c])"))
rows("scratchnet/tally.py", f"{REPLAYED}::test_an_epoch_of_which_every_step_is_skipped_is_an_error",
     ("nothing but skipped steps", "in_a_row == min(MOST_SKIPPED, self.batches)", "False"))
