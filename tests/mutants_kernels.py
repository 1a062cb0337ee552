"""Mutants of the kernels."""

from mutant_rows import rows

# -- kernels/reference ------------------------------------------------------------------------------------------------

rows("kernels/reference/windows.py", "tests/kernels/test_reference_windows.py",
     ("dilation ignored", "slice(kh * DH, kh * DH + SH", "slice(kh, kh + SH"),
     ("padding at the wrong end", "border.append((before, after + overhang))",
      "border.append((after, before + overhang))"))
rows("kernels/reference/conv.py", "tests/kernels/test_reference_windows.py",
     ("im2col shifted", "columns[:, :, :, kh, kw] = padded[at]", "columns[:, :, :, kh, kw - 1] = padded[at]"),
     ("groups mixed up", "(slice(g * CG, (g + 1) * CG),", "(slice((groups - 1 - g) * CG, (groups - g) * CG),"))
rows("kernels/reference/conv.py", "tests/kernels/test_reference_adjoint.py",
     ("col2im keeps one copy of each pixel", "padded[at] += columns", "padded[at] = columns"))
rows("kernels/reference/depthwise.py", "tests/kernels/test_reference_adjoint.py",
     ("dw upside down", "dw[kh, kw] = products", "dw[KH - 1 - kh, kw] = products"))
rows("kernels/reference/dense.py", "tests/kernels/test_reference_adjoint.py",
     ("dw transposed", "dw = x.astype(wide, copy=False).T @ dy.astype(wide, copy=False)",
      "dw = (dy.astype(wide).T @ x).reshape(x.shape[1], dy.shape[1])"),
     ("w read as its transpose in dx", "w.astype(wide, copy=False).T  #", "w.astype(wide).reshape(w.shape[::-1])  #"))
rows("kernels/reference/bias.py", "tests/kernels/test_reference_adjoint.py",
     ("sum over one axis too few", "range(dy.ndim - 1)", "range(dy.ndim - 2)"))
rows("kernels/reference/max_pool.py", "tests/kernels/test_reference_windows.py",
     ("padding can win", "wins = (index >= 0) & larger", "wins = larger"),
     ("NaN lost", " | (xp.isnan(value) & ~xp.isnan(y))", ""),
     ("the last of equals wins", "(value > y)", "(value >= y)"),
     ("an element that wins often gets one gradient", "dx[at] += xp.where", "dx[at] = xp.where"))
rows("kernels/reference/avg_pool.py", "tests/kernels/test_reference_windows.py",
     ("count_include_pad swapped", "if count_include_pad else (before", "if not count_include_pad else (before"),
     ("adaptive bins end too early", "-((i + 1) * size // -count)",
      "max((i + 1) * size // count, i * size // count + 1)"))
rows("kernels/reference/avg_pool.py", "tests/kernels/test_reference_adjoint.py",
     ("gradient shared among the whole window", "share = dy / divisor", "share = dy / (pool_size[0] * pool_size[1])"))
rows("kernels/reference/batch_norm.py", "tests/kernels/test_reference_gradients.py",
     ("the path through the mean removed", "dx = dy - dy.mean(axis=axes) - normalised", "dx = dy - normalised"),
     ("the path through the variance removed", " - normalised * (dy * normalised).mean(axis=axes)", ""))
rows("kernels/reference/batch_norm.py", "tests/kernels/test_reference_pointwise.py",
     ("unbiased variance", "var = (centred * centred).mean(axis=axes)",
      "var = (centred * centred).sum(axis=axes) / (x[..., 0].size - 1)"),
     ("variance as mean(x²) - μ²", "var = (centred * centred).mean(axis=axes)",
      "var = (x * x).mean(axis=axes) - mean * mean"))
rows("kernels/reference/lrn.py", "tests/kernels/test_reference_gradients.py",
     ("window not mirrored", "(size - 1) // 2, size // 2)", "size // 2, (size - 1) // 2)"))
rows("kernels/reference/activation.py", "tests/kernels/test_reference_pointwise.py",
     ("relu loses NaN", "xp.where(x < threshold, below, x)", "xp.where(x >= threshold, x, below)"),
     ("relu takes the right slope at its kink", "x <= threshold, below, dy", "x < threshold, below, dy"),
     ("softmax without its shift", "xp.exp(wide - wide.max(axis=-1, keepdims=True))", "xp.exp(wide)"))
rows("kernels/reference/activation.py", "tests/kernels/test_reference_gradients.py",
     ("softmax's gradient of the diagonal only", " - (dy_wide * y_wide).sum(axis=-1, keepdims=True)",
      " * (1 - y_wide)"))
rows("kernels/reference/loss.py", "tests/kernels/test_reference_gradients.py",
     ("label smoothing dropped from the gradient", "keepdims=True) - targets) / N",
      "keepdims=True) - (targets - label_smoothing / K) / (1 - label_smoothing)) / N"),
     ("the gradient of a square without its 2", "gradient = 2 * difference", "gradient = difference"))
rows("kernels/reference/philox.py", "tests/kernels/test_reference_dropout.py",
     ("another constant", "0xCD9E8D57", "0xCD9E8D59"))
rows("kernels/reference/dropout.py", "tests/kernels/test_reference_dropout.py",
     ("wrong scale", "(1 / (1 - rate))", "(1 - rate)"),
     ("the same mask in every call", "call & WORD", "0 & WORD"))
rows("kernels/reference/pad.py", "tests/kernels/test_reference_windows.py",
     ("reflect repeats the edge",
      "period = max(2 * (size - 1), 1)\n        return min(i % period, period - i % period)",
      "period = 2 * size\n        return min(i % period, period - 1 - i % period)"))
rows("kernels/reference/pad.py", "tests/kernels/test_reference_adjoint.py",
     ("a copy's gradient overwrites", "inside[_source(i, size, mode)] +=", "inside[_source(i, size, mode)] ="))
rows("kernels/reference/arithmetic.py", "tests/kernels/test_reference_adjoint.py",
     ("concat's slices swapped", "dy[..., start:start + size]",
      "dy[..., dy.shape[-1] - start - size:dy.shape[-1] - start]"),
     ("accumulate overwrites", "add(grad, d, out=grad)", "copyto(grad, d)"))
rows("kernels/reference/optim.py", "tests/kernels/test_reference_optim.py",
     ("momentum as a moving average", "velocity[...] = momentum * velocity + g\n",
      "velocity[...] = momentum * velocity + (1 - momentum) * g\n"),
     ("Nesterov's step without the look ahead", "g = g + momentum * velocity if nesterov else velocity",
      "g = velocity"),
     ("Adam's first moment biased", "lr / (1 - beta1 ** step)", "lr"),
     ("Adam's second moment biased", "v / unbias", "v"),
     ("AdamW's decay without lr", "lr * weight_decay, value", "weight_decay, value"),
     ("centred RMSProp not centred", "spread = xp.maximum(square - mean * mean, 0)", "spread = square"))
rows("kernels/shapes.py", "tests/kernels/test_reference_windows.py",
     ("ceil_mode a window too many", "(count - 1) * stride >= before + size", "(count - 1) * stride > before + size"),
     ("dilation ignored", "extent = dilation * (window - 1) + 1", "extent = window"))

# -- kernels/cpu ------------------------------------------------------------------------------------------------------

rows("kernels/cpu/windows.py", "tests/kernels/test_cpu_windows.py::test_convolution_and_both_gradients",
     ("im2col shifted", 'kw = numpy.arange(window[1], dtype="int64")', "kw = numpy.roll(numpy.arange(window[1]), 1)"),
     ("dilation ignored", "[:, None, None] * dilation[0]", "[:, None, None]"),
     ("the last pixel of a row lost", "(size - 1 - start) // stride + 1", "(size - 1 - start) // stride"))
rows("kernels/cpu/conv_planes.py", "tests/kernels/test_cpu_windows.py::test_convolution_and_both_gradients",
     ("groups mixed up", "store_pixels(runs[part, :FG], g * FG",
      "store_pixels(runs[part, :FG], (groups - 1 - g) * FG"),
     ("a task counted by two threads in dw",
      "# what is no pixel stays 0\n"
      "        for task in range(part * tasks // parts, (part + 1) * tasks // parts):\n            n, g, first",
      "\n        for task in range(max(0, part * tasks // parts - 1), (part + 1) * tasks // parts):\n"
      "            n, g, first"))
rows("kernels/cpu/conv_planes.py", "tests/kernels/test_cpu_windows.py::test_convolution_of_sizes_that_need_several_blocks",
     ("the last, smaller block of rows lost in dx", "for first in range(0, OH, rows)",
      "for first in range(0, OH - OH % rows, rows)"))
rows("kernels/cpu/tile.py", "tests/kernels/test_cpu_tile.py",
     ("the last, odd step of a sum lost", "odd = builder.trunc(count, ir.IntType(1))",
      "odd = ir.Constant(ir.IntType(1), 0)"),
     ("the floor loses NaN", 'builder.select(builder.fcmp_ordered("<", y, floor), floor, y)',
      'builder.select(builder.fcmp_ordered(">", y, floor), y, floor)'),
     ("every tap reads the first one's rows", "first = builder.mul(tap, ir.Constant(INT, apart))", "first = zero"),
     ("sums of columns replace what is there", "builder.fadd(total, v.load(target, lanes * j))", "total"),
     ("lines of a row listed too far apart", "list(range(0, 512, 64))", "list(range(0, 1024, 128))"))
rows("kernels/cpu/tile.py", "tests/kernels/test_cpu_tile.py::test_convolutions_on_processors_that_have_less",
     ("pieces of channels that only suit AVX-512", "FEW_DEEP = DEEP // 3", "FEW_DEEP = 4"))
rows("kernels/cpu/gather.py", "tests/kernels/test_cpu_conv.py::test_forward",
     ("the last column of the image read as zeros", "inside = 0 <= h < H and 0 <= w < W",
      "inside = 0 <= h < H and 0 <= w < W - 1"),
     ("a sum of several chunks starts anew", "inits if is_first else outs, outs, float32", "inits, outs, float32"),
     ("the bias added with every chunk", "* WIDTH if is_first else zeros_at,", "* WIDTH,"),
     ("every group has the first one's bias", "b.reshape(groups, FG)", "b[:FG]"))
rows("kernels/cpu/gather.py", "tests/kernels/test_cpu_conv.py::test_backward_data",
     ("windows not turned round", "turned[taps - 1 - tap, f", "turned[tap, f"),
     ("every tap has the first one's weights", "weights = w[taps[tap]]\n        for panel",
      "weights = w[taps[0]]\n        for panel"),
     ("every panel has the first one's channels", "weights[panel * WIDTH + c,", "weights[c,"))
rows("kernels/cpu/gather.py", "tests/kernels/test_cpu_conv.py::test_backward_data_adds_init_and_is_zero_behind_a_shut_gate",
     ("a gate open at 0 and below", "if gate[j] <= float32(0) else y[j]", "if gate[j] < float32(-9) else y[j]"))
rows("kernels/cpu/conv.py", "tests/kernels/test_cpu_conv.py::test_backward_data[dilation]",
     ("columns stride as rows do", "right[reach] // strides[1], number", "right[reach] // strides[0], number"))
rows("kernels/cpu/conv_weights.py", "tests/kernels/test_cpu_conv.py::test_backward_weights",
     ("only the first task's sum", "add_parts(totals, dw)", "dw[...] = totals[0]"),
     ("sums begin with what stands there", "int(first > begin)", "1"),
     ("a task takes panels of its last tap only", "low % of_a_tap if one_tap else 0", "low % of_a_tap"),
     ("a broken panel copied from the first columns", "dy[start + pixel * F + whole * SPAN + j]",
      "dy[start + pixel * F + j]"))
rows("kernels/cpu/winograd.py", "tests/kernels/test_cpu_conv.py::test_winograd_of_both_sizes_with_poisoned_memory",
     ("the residual forgotten", "if inside and has_init else", "if inside and not has_init else"))
rows("kernels/cpu/winograd.py", "tests/kernels/test_cpu_conv.py::test_forward",
     ("padding on the left as above", "% tiles[1] * m - margin[1]", "% tiles[1] * m - margin[0]"))
rows("kernels/cpu/winograd.py", "tests/kernels/test_cpu_conv.py::test_winograd_of_both_sizes_with_poisoned_memory",
     ("every block of shared tiles begins with the first", "rows, x, first, count * part", "rows, x, 0, count * part"))
rows("kernels/cpu/winograd_products.py", "tests/kernels/test_cpu_conv.py::test_forward",
     ("later channels take the place of the first", "a, depth, b, out, c, ask", "a, depth, b, out, 0, ask"))
rows("kernels/cpu/winograd_products.py",
     "tests/kernels/test_cpu_conv.py::test_winograd_of_several_panels_blocks_and_parts_of_sums",
     ("later tiles take the place of the first", "adds + chunk)", "adds)"),
     ("a narrow last panel in rows of whole ones", "row * min(width, channels - first)", "row * width"))
rows("kernels/cpu/winograd_tiles.py", "tests/kernels/test_cpu_conv.py::test_forward[Winograd 4, clipped tiles]",
     ("the partner of a row equal to it", "fadd(agreed, other), v.builder.fsub(agreed, other)",
      "fadd(agreed, other), v.builder.fadd(agreed, other)"))
rows("kernels/cpu/winograd_weights.py",
     "tests/kernels/test_cpu_conv.py::test_winograd_of_both_sizes_with_poisoned_memory",
     ("gradients of the last column lost", "top + i < OH and left + j < OW", "top + i < OH and left + j < OW - 1"))
rows("kernels/cpu/winograd_tiles.py", "tests/kernels/test_cpu_conv.py::test_forward[Winograd 4, clipped tiles]",
     ("the bias forgotten", "builder.fadd(builder.fadd(vector, bias), first)", "builder.fadd(vector, first)"))
rows("kernels/cpu/winograd_matrices.py", "tests/kernels/test_winograd_matrices.py",
     ("G multiplied where it is to be divided", "[value / scale for value in row]", "[value * scale for value in row]"))
rows("kernels/cpu/packed.py", "tests/kernels/test_cpu_packed.py::test_one_object_convolves_images_of_every_size",
     ("the residual forgotten by the direct way", "packed, bias, residual, y, known", "packed, bias, None, y, known"),
     ("all images taken the way of the first", "case = x.shape, padding", "case = x.ndim, padding"),
     ("the residual forgotten where there is no epilogue", "y if residual is None else add(residual, y, 1.0)", "y"),
     ("Winograd without the ReLU", "residual, y, m, origin, relu)", "residual, y, m, origin, False)"),
     ("what is given for the result left as it is", "numpy.copyto(out, y)", "numpy.copyto(out, out)"))
rows("kernels/cpu/gather.py", "tests/kernels/test_cpu_packed.py::test_dense",
     ("few rows reach into the next tile", "left, at, row = min(ROWS, count - t * ROWS)",
      "left, at, row = count - t * ROWS"))
rows("kernels/cpu/packed.py", "tests/kernels/test_cpu_packed.py::test_dense",
     ("dense layers without the ReLU", "IN,\n                   relu=relu)", "IN,\n                   relu=False)"))
rows("kernels/cpu/column_sums.py", "tests/kernels/test_cpu_windows.py::test_convolution_and_both_gradients",
     ("one thread's share of dw lost", "for part in range(1, parts.shape[0])",
      "for part in range(1, parts.shape[0] - 1)"))
rows("kernels/cpu/gemm.py", "tests/kernels/test_cpu_pointwise.py::test_dense_and_its_gradients",
     ("rows of a product between the tiles lost", "        m += rows\n", "        m += ROWS\n"))
rows("kernels/cpu/gemm.py", "tests/kernels/test_cpu_chwn.py::test_all_passes_are_those_of_the_reference",
     ("the last, odd column of dot products lost", "while n < N:", "while n < N - 1:"))
rows("kernels/cpu/gemm.py", "tests/kernels/test_cpu_conv.py::test_planes_take_any_case_too",
     ("only the first chunk of a sum", "range(0, K, DEEPEST)", "range(0, min(K, DEEPEST), DEEPEST)"))
rows("kernels/cpu/lanes_tiles.py", "tests/kernels/test_cpu_windows.py::test_convolution_of_sizes_that_need_several_blocks",
     ("a sum replaces what is there", "builder.fadd(old, sums[i][j])", "sums[i][j]"),
     ("what is masked off counts", "return self.builder.call(load, [place, ir.IntType(32)(4), mask, self.zero])",
      "return self.load(pointer, 0)"))
rows("kernels/cpu/dense.py", "tests/kernels/test_cpu_pointwise.py::test_dense_and_its_gradients",
     ("x read as its transpose in dw", "_multiply(x, 1, IN,", "_multiply(x, len(x), 1,"),
     ("w not transposed in dx", "as_chwn(w), memory", "w, memory"))
rows("kernels/cpu/dense.py", "tests/kernels/test_cpu_pointwise.py::test_dense_of_weights_that_no_cache_holds",
     ("the last columns of a part lost", "p_last = column * P // column_parts, (column + 1) * P // column_parts\n        for m",
      "p_last = column * P // column_parts, (column + 1) * P // column_parts - 1\n        for m"),
     ("depth rows of b, again and again", "b_rows[k:k + depth]", "b_rows[:depth]"))
rows("kernels/cpu/dense.py", "tests/kernels/test_cpu_pointwise.py::test_gradient_of_dense_weights_tile_by_tile",
     ("no images, no gradient", "if len(x) and IN", "if IN"),
     ("the first images alone", "OUT, n, dw", "OUT, 0, dw"),
     ("inputs behind the last tile lost", "if part + 1 < parts else IN\n", "if part + 1 < parts else IN - IN % DEEP\n"),
     ("outputs behind the last tile lost", "for p in range(0, OUT, SPAN)", "for p in range(0, OUT - OUT % SPAN, SPAN)"))
rows("kernels/cpu/bias.py", "tests/kernels/test_cpu_pointwise.py::test_bias_gradient",
     ("sum over one axis too few", "else contiguous(dy)", "else contiguous(dy[0])"))
rows("kernels/cpu/column_sums.py", "tests/kernels/test_cpu_batch_norm.py::test_batch_norm_and_its_gradients",
     ("the last, shorter row of lanes lost", "return -(-size // lanes), lanes", "return size // lanes, lanes"),
     ("unbiased variance", "square / M - distance", "square / max(1, M - 1) - distance"),
     ("a ReLU's gradient on the wrong side", "if z <= limit else dy", "if z >= limit else dy"))
rows("kernels/cpu/column_sums.py", "tests/kernels/test_cpu_batch_norm.py::test_statistics_are_those_of_float64_to_1e_6_also_far_from_zero",
     ("sums around 0", "distance = x[at + row * lanes + j] - middle", "distance = x[at + row * lanes + j]"),
     ("rows that are not among four at once lost", "AT_ONCE, uint64(lanes), near, total, square)\n"
      "                row += AT_ONCE\n            while row < min(first + RUN, last):",
      "AT_ONCE, uint64(lanes), near, total, square)\n"
      "                row += AT_ONCE\n            while row < min(first, last):"))
rows("kernels/cpu/bias.py", "tests/kernels/test_cpu_pointwise.py::test_bias_gradient_of_many_rows",
     ("only the first block of rows", "range(first, min(first + BLOCK, last))", "range(first, min(BLOCK, last))"))
rows("kernels/cpu/bias.py",
     "tests/kernels/test_cpu_pointwise.py::test_an_activation_and_a_bias_gradient_in_one_pass_are_the_two_one_after_the_other",
     ("the bias takes the gradient before the ReLU",
      "gradient = float32(0) if y[at + j] <= float32(0) else dy[at + j]\n            dz[at + j] = gradient\n"
      "            block[j] += gradient",
      "gradient = float32(0) if y[at + j] <= float32(0) else dy[at + j]\n            dz[at + j] = gradient\n"
      "            block[j] += dy[at + j]"))
rows("kernels/cpu/max_pool.py", "tests/kernels/test_cpu_windows.py::test_max_pooling_and_its_gradient",
     ("padding can win",
      "                            _keep_larger(x[n, ih, iw], ih * W + iw, best, winner)",
      "                            _keep_larger(x[n, ih, iw], ih * W + iw, best, winner)\n"
      "                        else:\n                            for c in range(C):\n"
      "                                best[c] = max(best[c], float32(0))"),
     ("NaN lost", " | ((value != value) & (best == best))\n        y[c]", "\n        y[c]"),
     ("the last of equals wins", "(winner < 0) | (value > best) | ((value != value) & (best == best))\n        y[c]",
      "(winner < 0) | (value >= best) | ((value != value) & (best == best))\n        y[c]"),
     ("the last of equals wins among few channels",
      "(winner < 0) | (value > best) | ((value != value) & (best == best))\n                                best",
      "(winner < 0) | (value >= best) | ((value != value) & (best == best))\n                                best"),
     ("dilation ignored", "- dilation * numpy.arange(window)", "- numpy.arange(window)"),
     ("an element that wins often gets one gradient", "dx[c] += dy[c] if", "dx[c] = dy[c] if"),
     ("few channels: one that wins often gets one gradient", "dx[n, winners[n, p, c], c] += dy",
      "dx[n, winners[n, p, c], c] = dy"),
     ("gradients before the first window", "(0 <= start) & (start < outputs", "(start < outputs"))
rows("kernels/cpu/avg_pool.py", "tests/kernels/test_cpu_windows.py::test_average_pooling_and_its_gradient",
     ("count_include_pad swapped", "if count_include_pad else (0, size)", "if not count_include_pad else (0, size)"),
     ("the last element of each window lost", "there = numpy.arange(Q) < inside",
      "there = numpy.arange(Q) < -1 + inside"))
rows("kernels/cpu/avg_pool.py", "tests/kernels/test_cpu_windows.py::test_average_pooling_side_by_side_and_its_gradient",
     ("gradient in columns that no tile covers", "range(at, first + row):\n            pixels[i] = 0",
      "range(at, first + row):\n            pixels[i] = 1"),
     ("only the last row of each tile", "for kh in range(1, KH)", "for kh in range(KH - 1, KH)"),
     ("the first element of each tile only", "for k in range(1, elements.size)", "for k in range(elements.size, 1)"))
rows("kernels/cpu/vector.py", "tests/kernels/test_cpu_windows.py::test_average_pooling_side_by_side_and_its_gradient",
     ("vectors that reach into the next row", "max(0, pixels - (beyond + C - 1) // C)", "pixels"))
rows("kernels/cpu/compile.py", "tests/kernels/test_cpu_compile.py::test_few_elements_are_one_threads_work_and_many_are_not",
     ("all threads for a handful", "arguments[0].size if self._light else None", "None"))
rows("kernels/cpu/avg_pool.py",
     "tests/kernels/test_cpu_windows.py::test_adaptive_and_global_average_pooling_and_their_gradients",
     ("adaptive bins end too early", "-((i + 1) * size // -count)",
      "numpy.maximum((i + 1) * size // count, i * size // count + 1)"))
rows("kernels/cpu/batch_norm.py", "tests/kernels/test_cpu_batch_norm.py::test_batch_norm_and_its_gradients",
     ("the path through the mean removed", "-scale * dbeta / M", "0 * dbeta"),
     ("the path through the variance removed", "-scale * rstd * dgamma / M", "0 * dgamma"),
     ("the last, shorter row of lanes lost",
      "in prange((x.size + lanes - 1) // lanes):\n        fetch_ahead(y_at, row, lanes)\n        values, results = x[row",
      "in prange(x.size // lanes):\n        fetch_ahead(y_at, row, lanes)\n        values, results = x[row"),
     ("the residual forgotten", "_plus(affine(values[j], mean[j], scale[j], shift[j]), others[j])",
      "affine(values[j], mean[j], scale[j], shift[j])"))
rows("kernels/cpu/batch_norm.py", "tests/kernels/test_cpu_batch_norm.py::test_nan_and_infinity_are_not_lost_in_the_relu",
     ("a ReLU that loses NaN", "others[j])\n            results[j] = float32(0) if z < limit else z",
      "others[j])\n            results[j] = z if z > limit else float32(0)"))
rows("kernels/cpu/depthwise.py", "tests/kernels/test_cpu_windows.py::test_depthwise_convolution_and_both_gradients",
     ("output channels in another order", "y[f] += x[c] * w[f]", "y[j * uint64(C) + c] += x[c] * w[f]"),
     ("dilation ignored in dx", "h = ih + origin[0] - kh * dilation[0]", "h = ih + origin[0] - kh"),
     ("strides ignored in dx", " and h % strides[0] == 0", ""),
     ("the rows that the threads cannot share evenly lost",
      "range(part * N * OH // parts, (part + 1) * N * OH // parts)",
      "range(part * (N * OH // parts), (part + 1) * (N * OH // parts))"))
rows("kernels/cpu/lrn.py", "tests/kernels/test_cpu_pointwise.py::test_local_response_norm_and_its_gradient",
     ("window not mirrored", "(size - 1) // 2, size // 2, total)", "size // 2, (size - 1) // 2, total)"),
     ("a power of 1 for the paper's 3/4", "root * float32(sqrt(root))", "root * root"))
rows("kernels/cpu/activation.py", "tests/kernels/test_cpu_pointwise.py::test_nan_and_infinity_are_not_lost",
     ("relu loses NaN", "value = below if value < threshold else value",
      "value = value if value >= threshold else below"),
     ("softmax without its shift", "exp(x[k] - largest)", "exp(x[k])"))
rows("kernels/cpu/activation.py", "tests/kernels/test_cpu_pointwise.py::test_relu_and_its_gradient",
     ("relu takes the right slope at its kink", "if x[i] <= threshold", "if x[i] < threshold"))
rows("kernels/cpu/activation.py",
     "tests/kernels/test_cpu_pointwise.py::test_tanh_sigmoid_softmax_and_their_gradients",
     ("softmax's gradient of the diagonal only", "total += dy[n, k] * y[n, k]", "total = dy[n, k] * y[n, k]"))
rows("kernels/cpu/exponential.py", "tests/kernels/test_cpu_exponential.py",
     ("a digit of tanh's polynomial", "3.49398029e-3", "3.49498029e-3"),
     ("a digit of exp's polynomial", "float32(0.1666652)", "float32(0.1666752)"),
     ("tanh ends too early", "TANH_LIMIT = float32(9.02)", "TANH_LIMIT = float32(6.5)"))
rows("kernels/cpu/loss.py", "tests/kernels/test_cpu_pointwise.py::test_softmax_cross_entropy_and_its_gradient",
     ("label smoothing dropped from the gradient", "- (keep * targets[n, k] + floor)", "- targets[n, k]"))
rows("kernels/cpu/loss.py", "tests/kernels/test_cpu_pointwise.py::test_binary_cross_entropy_is_finite_at_its_ends",
     ("logarithms that do not stop at -100", "log_p = -100.0 if log_p < -100.0 else log_p", "log_p = log_p"))
rows("kernels/cpu/philox.py", "tests/kernels/test_cpu_pointwise.py::test_dropout_draws_the_reference_bits",
     ("another constant", "0xCD9E8D57", "0xCD9E8D59"))
rows("kernels/cpu/dropout.py", "tests/kernels/test_cpu_pointwise.py::test_dropout_draws_the_reference_bits",
     ("call and layer swapped", "uint64(call), uint64(layer)", "uint64(layer), uint64(call)"),
     ("gradient not scaled", "dy[i] * float32(mask[i]) * scale", "dy[i] * float32(mask[i])"))
rows("kernels/cpu/pad.py", "tests/kernels/test_cpu_windows.py::test_padding_and_its_gradient",
     ("reflect repeats the edge",
      "period = max(2 * (size - 1), 1)\n        return numpy.minimum(place % period, period - place % period)",
      "period = 2 * size\n        return numpy.minimum(place % period, period - 1 - place % period)"),
     ("a copy's gradient overwrites", "columns[j], c] += dy", "columns[j], c] = dy"))
rows("kernels/cpu/arithmetic.py", "tests/kernels/test_cpu_pointwise.py::test_sums_and_concatenation",
     ("concat's slices swapped", "dy.shape[-1]), first, part",
      "dy.shape[-1]), dy.shape[-1] - first - int(size), part"),
     ("accumulate overwrites", "_add(in_place(grad), behaved(d).reshape(-1), 1.0,",
      "_add(behaved(d).reshape(-1), in_place(grad), 0.0,"))
