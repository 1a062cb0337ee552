"""Mutants of what has the images innermost in memory."""

from mutant_rows import rows

CHWN = "tests/kernels/test_cpu_chwn.py"
rows("kernels/cpu/bias.py", CHWN + "::test_sums_for_a_bias",
     ("parts that overlap", "c * length + part * length // parts,", "c * length + max(0, part - 1) * length // parts,"),
     ("the last line of a row lost", "range(start, min(last, start + BLOCK * lanes), lanes)",
      "range(start, min(last, start + BLOCK * lanes) - lanes + 1, lanes)"))
rows("kernels/cpu/chwn.py", CHWN,
     ("any transpose passes", "not x.flags.c_contiguous and swapped(x).flags.carray", "not x.flags.c_contiguous"),
     ("the order of the first of two arrays", "if is_chwn(arrays[-1])", "if is_chwn(arrays[0])"),
     ("images behind the last whole vector lost", "for n in range(whole, N)", "for n in range(N, N)"),
     ("a stage of the transpose mirrored", "for move in (0, half)", "for move in (half, 0)"))
rows("kernels/cpu/conv_images.py", CHWN,
     ("the window's last row inside the image lost", "(H - 1 + top - oh) // dilation + 1", "(H - 2 + top - oh) // dilation + 1"),
     ("columns outside the image are read", "return 1 if v_last - v == KW else u_last - u", "return 1"),
     ("rows that do not see all of the window summed as if they did", "if u == 0 and u_last == KH", "if True"),
     ("dx with the padding of y", "dilation[axis] * (w.shape[axis] - 1) - padding[axis][0]", "padding[axis][0]"),
     ("the pieces of a row start alike", "corner + p, flat_y", "corner, flat_y"),
     ("no activation", "if activation != NONE", "if False"),
     ("strides are ignored", "tuple(strides) == (1, 1)", "True"))
rows("kernels/cpu/dense_images.py", CHWN + "::test_dense_layers_behind_them_hand_the_order_on",
     ("dw of dz turned round", "N, 1, turned, image_rows", "N, 1, dz, image_rows"),
     ("dx without its first rows", "flat_dx, first * N, N, last - first, OUT, N)", "flat_dx, first * N, N, 0, OUT, N)"),
     ("the first output without a gradient", "for o in range(OUT):\n            total = run",
      "for o in range(1, OUT):\n            total = run"),
     ("no activation", "activate(flat_y[first * N:last * N], activation)", "pass"))
rows("scratchnet/layers/checks.py", CHWN,
     ("layers of one's own receive any order", "layer.takes_images_innermost and", "True and"))
rows("kernels/cpu/conv_images.py", CHWN + "::test_the_backward_pass_in_one_call_is_its_pieces",
     ("the bias's gradient of all parts but the first lost", "(f * OH + last) * OW * N, line)",
      "(f * OH + last) * OW * N, line) * (part == 0)"))
