"""Mutants of the zoo: its networks, published weights, preprocessing and summaries."""

from mutant_rows import rows

rows("scratchnet/layers/auxiliary.py", "tests/layers/test_auxiliary.py",
     ("its loss does not count", "objective.losses.append(self.weight * loss)", "objective.losses.append(0 * loss)"),
     ("a head that comes back is trained", "self.head.trainable = False", "pass"),
     ("its gradient is unweighted", "dlogits * dlogits.dtype.type(self.weight)", "dlogits"),
     ("nothing flows back into the network", "return ops(dy).add(dy, dx, 1.0) if need_dx else None", "return dy"))
rows("scratchnet/heads.py", "tests/test_heads.py",
     ("an auxiliary's head is taken for the model's", "if isinstance(layer, Auxiliary):\n        return []\n    ", ""),
     ("dropout before the head is frozen", "kept.add(id(leaf))", "pass"),
     ("the backbone is not frozen", "child.trainable = False", "pass"))
rows("scratchnet/models/alexnet.py", "tests/models/test_published_settings.py",
     ("another rate of dropout", "drop7=Dropout(0.5)", "drop7=Dropout(0.2)"))
rows("scratchnet/models/googlenet.py", "tests/models/test_published_settings.py",
     ("first biases of 0", "np.full(shape, 0.2)", "np.full(shape, 0.0)"))
rows("scratchnet/models/conv_bn.py", "tests/models/test_published_settings.py",
     ("first weights of another spread", '"he_normal"', '"glorot_normal"'))
rows("scratchnet/models/resnet.py", "tests/models/test_published_settings.py",
     ("first weights of another spread", '"he_normal_fan_out"', '"he_normal"'))
rows("scratchnet/recipes.py", "tests/test_recipes.py",
     ("large steps for plain networks", "PLAIN_LR = 1e-4", "PLAIN_LR = 2e-3"),
     ("a head alone is trained as a whole network", "HEAD_ALONE if frozen else FINE_TUNING", "FINE_TUNING"))
rows("scratchnet/layer_table.py", "tests/test_layer_table.py",
     ("an auxiliary classifier that is left out makes an output", "(Flatten, Auxiliary)", "Flatten"))
rows("scratchnet/models/resnet.py", "tests/models/test_golden.py::test_logits_are_the_golden_ones[resnet50-cpu-2]",
     ("no ReLU behind the first 3x3", 'groups), bn2=BatchNorm(activation="relu"),', "groups), bn2=BatchNorm(),"))
rows("scratchnet/models/vgg.py", "tests/models/test_golden.py::test_logits_are_the_golden_ones[vgg16-cpu-2]",
     ("no ReLU behind a convolution", "else [ReLU()]", "else [Dropout(0)]"))
rows("scratchnet/models/inception_resnet_v2.py",
     "tests/models/test_golden.py::test_logits_are_the_golden_ones[inception_resnet_v2-cpu-2]",
     ("the last block is scaled", "block8=block_8(scale=1,", "block8=block_8(scale=SCALE_8,"))
rows("scratchnet/models/inception_v3.py",
     "tests/models/test_golden.py::test_logits_are_the_golden_ones[inception_v3-cpu-2]",
     ("padding left out of the means", "count_include_pad=True", "count_include_pad=False"))
rows("scratchnet/models/lenet_1998.py", "tests/models/test_lenet_1998.py",
     ("distances with the wrong sign", "return -(distance * distance)", "return (distance * distance)"))
rows("scratchnet/weights/layout.py", "tests/weights/test_layout.py",
     ("a flattened image keeps PyTorch's order", "return ordered and any(", "return False and any("),
     ("a square matrix is not transposed", "return (1, 0)", "return (0, 1)"))
rows("scratchnet/weights/match.py", "tests/weights/test_load_weights.py",
     ("missing tensors are let through", "if name not in tensors and name not in excused],", "if False],"),
     ("unexpected tensors are let through", "if name not in wanted and name not in excused],", "if False],"),
     ("another shape is let through", "if tensors[name].shape != slot.stored_shape],", "if False],"))
rows("scratchnet/weights/tensor_file.py", "tests/weights/test_load_weights.py",
     ("bfloat16 is the lower half", "<< 16).view(np.float32)", "<< 0).view(np.float32)"))
rows("scratchnet/weights/transfer.py", "tests/weights/test_load_weights.py",
     ("weights that are not finite are read", "return bool(np.isfinite(block).all())", "return True"))
rows("scratchnet/data/resize.py", "tests/data/test_centre.py",
     ("the longer side is rounded up", "longer = int(self.resize * long / short)",
      "longer = -int(-self.resize * long // short)"),
     ("the crop is a pixel off", "return int(round((side - wanted) / 2))", "return int((side - wanted) / 2 + 0.9)"))
rows("scratchnet/receptive_field.py", "tests/test_receptive_field.py",
     ("branches: the narrowest counts", "tuple(map(max, zip(*sizes)))", "tuple(map(min, zip(*sizes)))"),
     ("a shared layer sees what it saw at first", "    return made\n", "    return found[id(layer)]\n"))
rows("scratchnet/initializers.py", "tests/test_initializers.py",
     ("blocks of draws are all the first one", "block[...] = draw(block.size)", "block[...] = values[:block.size]"))
