"""Mutants of the engine: layers, losses, data, training."""

from mutant_rows import rows

rows("scratchnet/gradcheck.py", "tests/test_gradcheck.py",
     ("a NaN passes", "wrong = ~(error <= atol + rtol * np.abs(numeric))",
      "wrong = error > atol + rtol * np.abs(numeric)"),
     ("dy of ones", "dy = rng.standard_normal(y.shape)", "dy = np.ones(y.shape)"),
     ("zeros everywhere pass", "if len(silent) == len(compared):", "if not compared:"),
     ("dropout draws again", "own[key][...] = self.state[name]", "pass"))
rows("scratchnet/layers/parameter.py", "tests/layers/test_protocol.py::test_backward_adds_to_the_gradients",
     ("a gradient overwrites the last", "ops(d).accumulate(self._grad, d)", "self._grad[...] = d"))
rows("scratchnet/layers/parameter.py", "tests/layers/test_state.py",
     ("assigning a value keeps the old gradient", "self.clear_grad()\n        self.version", "self.version"),
     ("frozen parameters take gradients", "if not self.trainable:", "if False:"))
rows("scratchnet/layers/running.py", "tests/layers/test_protocol.py",
     ("a second backward allowed", "self.layer, self.function, None", "self.layer, self.function, self.function"),
     ("backward after a step allowed", "if self.versions != [", "if False and self.versions != ["))
rows("scratchnet/layers/running.py", "tests/layers/test_dropout.py",
     ("a frozen layer trains on", "training and self._trainable", "training"))
rows("scratchnet/layers/containers.py", "tests/layers/test_gradients.py::test_gradient_in_float64_through_reference",
     ("residual forgets the shortcut's gradient", "ops(dy).add(dx, through_main, 1.0) if need_dx",
      "through_main if need_dx"),
     ("residual's scale not in its gradient", "dy if self.scale == 1 else _scaled(dy, self.scale)", "dy"),
     ("concat keeps one branch's gradient", "dx = d if dx is None else ops(d).add(dx, d, 1.0)", "dx = d"))
rows("scratchnet/layers/containers.py", "tests/layers/test_memory.py",
     ("closures kept to the end",
      "dy = backwards.pop()(dy, need_dx or index > lowest, **({} if index else also))",
      "done = backwards.pop()\n                self.done = [*getattr(self, 'done', []), dy]\n"
      "                dy = done(dy, need_dx or index > lowest, **({} if index else also))"))
rows("scratchnet/layers/fusion.py", "tests/layers/test_fusion.py",
     ("a ReLU runs after it is done", "passes(layers, x):",
      "passes(layers, x):\n    return [layer.forward for layer in layers]\n"),
     ("neighbours together under a watch", "not local.watchers and ops", "ops"),
     ("a late watch sees a ReLU that does nothing", " if local.watchers else dy", " if False else dy"))
rows("scratchnet/layers/norm.py", "tests/layers/test_fusion.py",
     ("the ReLU behind a residual twice", "masks = relu and residual is None", "masks = relu"))
rows("scratchnet/layers/containers.py", "tests/layers/test_fusion.py",
     ("a scale lost in one pass", "self.scale == 1 and (relu", "(relu"),
     ("a ReLU's gradient left to nobody", "if gates and need_dx else dx", "if False else dx"),
     ("a shortcut's gradient forgotten", "return main_backward(dy, init=dy, gate=gate)", "return main_backward(dy, gate=gate)"),
     ("sums under a watch", "if joins and need_dx and not local.watchers", "if joins and need_dx"))
rows("scratchnet/layers/activation.py", "tests/layers/test_fusion.py",
     ("a subclass's own forward passed over", "type(layer) is ReLU and", "isinstance(layer, ReLU) and"))
rows("scratchnet/layers/activation.py", "tests/layers/test_gradients.py",
     ("y kept where it cannot tell", "kept = y if self.pieces[2] >= 0 else x", "kept = y"))
rows("scratchnet/layers/dense.py", "tests/layers/test_gradients.py::test_gradient_in_float64_through_reference",
     ("backward skips the activation", "dz = dy if activation else activation_backward(dy)", "dz = dy"))
rows("scratchnet/layers/norm.py", "tests/layers/test_state.py",
     ("running variance biased", "var * (count / (count - 1))", "var"),
     ("running statistics move in inference", "        else:   ",
      "        else:\n            self._normalise_batch(x, gamma, beta)   "),
     ("running statistics keep the wrong share", "self.momentum * (batch - running)",
      "(1 - self.momentum) * (batch - running)"),
     ("inference holds no copy of the statistics",
      'self.buffer("running_mean").copy(), self.buffer("running_var").copy()',
      'self.buffer("running_mean"), self.buffer("running_var")'))
rows("scratchnet/layers/geometry.py", "tests/layers/test_geometry.py",
     ("same padding with the larger half first", "(total // 2, total - total // 2)",
      "(total - total // 2, total // 2)"))
rows("scratchnet/layers/dropout.py", "tests/layers/test_dropout.py",
     ("the mask drawn once for all calls", "calls += 1", "calls += 0"),
     ("all layers share a mask", "zlib.crc32(self.path.encode())", "0"))
rows("scratchnet/fit.py", "tests/test_fit.py::test_gradients_that_a_step_left_behind_do_not_count",
     ("gradients of another step are added", "        parameter.clear_grad() ", "        pass "))
rows("scratchnet/losses.py", "tests/test_losses.py",
     ("label smoothing ignored", "float(label_smoothing))", "0.0)"),
     ("labels not range-checked", "labels.view(labels.dtype.str.replace(\"i\", \"u\")).max()", "labels.max()"))
rows("scratchnet/optim.py", "tests/test_optim.py::test_frozen_parameters_are_left_alone_weight_decay_included",
     ("weight decay on frozen parameters",
      "if parameter.grad is not None:",
      "if parameter.grad is None:\n"
      "                self.update(1, [name], [parameter.value], [0 * parameter.value])\n"
      "            else:"))
rows("scratchnet/optim.py", "tests/test_optim.py::test_a_step_uses_the_gradients_and_clears_them",
     ("gradients kept after a step", "parameter.clear_grad()", "pass"))
rows("scratchnet/optim.py", "tests/test_optim.py::test_parameters_updated_more_often_than_others_have_their_own_corrections",
     ("one number of steps for all", "together.setdefault((ops(parameter.value), count), [])",
      "together.setdefault((ops(parameter.value), count and max(self._counts.values())), [])"))
rows("scratchnet/optim.py", "tests/test_optim.py::test_state_goes_on_to_the_same_bits",
     ("steps not part of the state", 'return state | {f"steps/{name}"', 'return state or {f"steps/{name}"'))
rows("scratchnet/optim.py", "tests/test_optim.py::test_four_steps_are_the_rule_written_out",
     ("Nesterov forgotten", 'lr, momentum, self.settings["nesterov"]', "lr, momentum, False"),
     ("RMSProp swaps rho and momentum", 's["rho"], s["epsilon"],\n                          s["momentum"]',
      's["momentum"], s["epsilon"],\n                          s["rho"]'),
     ("Adam always at its first step",
      'self.slot("v", names, w), step, lr, s["beta1"], s["beta2"],\n                       s["epsilon"]',
      'self.slot("v", names, w), 1, lr, s["beta1"], s["beta2"],\n                       s["epsilon"]'))
rows("scratchnet/data/batches.py", "tests/data/test_batches.py",
     ("the last partial batch dropped", "len(order), self.batch_size)",
      "len(order) - self.batch_size + 1, self.batch_size)"),
     ("every epoch in one order", "self.seed, k)", "self.seed)"))
rows("scratchnet/fit.py", "tests/test_fit.py",
     ("the schedule a step late", "optimizer.lr = learning_rate(schedule, position.step)",
      "optimizer.lr = learning_rate(schedule, max(position.step - 1, 0))"),
     ("the first epoch twice", "arriving(model, train, epoch, done)", "arriving(model, train, max(epoch - 1, 0), done)"),
     ("scoring in training mode", "logits = in_float32(model(images))", "logits = in_float32(model.forward(images)[0])"),
     ("confusion transposed", "true * classes + predicted", "predicted * classes + true"))
rows("scratchnet/checkpoint.py", "tests/test_checkpoint.py",
     ("tensors not in the checksum", "digest.update(little.reshape(-1).view(np.uint8))", "little.reshape(-1)"),
     ("later formats taken", "1 <= version <= VERSION", "1 <= version"))
rows("scratchnet/tally.py", "tests/test_resume.py",
     ("sizes forgotten", "tally.sizes = [int(size) for size in state[\"sizes\"]]", "tally.sizes = []"))
rows("scratchnet/run_folder.py", "tests/test_resume.py",
     ("metrics not cut back", "for line in lines[:epochs])", "for line in lines)"),
     ("best not made again", "if position.tally is None and _last_is_best(history):", "if False:"),
     ("optimizer begun anew", "self.optimizer.load_state_dict(saved.optimizer_state)", "pass"),
     ("learning rate of the start", "self.optimizer.lr = saved.optimizer[\"lr\"]", "pass"),
     ("other settings taken", "        if differences:", "        if False:"),
     ("begun over what is left of a run", "        refuse_another(self.path, resume) ", "        # "),
     ("infinite weights saved", "check_state(state, position.step)", "pass"),
     ("leftovers stay", "        remove_leftovers(self.path)\n        self._write_metrics", "        self._write_metrics"))
rows("scratchnet/lock.py", "tests/test_resume.py",
     ("a lock that lets all in", "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"))
rows("scratchnet/files.py", "tests/test_resume.py",
     ("written in place", "        os.replace(temporary, path)\n    except",
      "        path.write_bytes(content)\n    except"))
rows("scratchnet/own_network.py", "tests/test_own_network.py",
     ("another seed for everyone", "model.init(seed, input_shape)", "model.init(0, input_shape)"),
     ("any number of outputs", "if output != (classes,):", "if False:"))
rows("scratchnet/data/augment.py", "tests/data/test_augment.py",
     ("every epoch alike", "Draws(self.seed, epoch, samples, place)", "Draws(self.seed, 0, samples, place)"))
rows("scratchnet/data/mixup.py", "tests/data/test_augment_pixels.py",
     ("labels not mixed", "label_share * rows + (1 - label_share) * np.roll(rows, -1, axis=0)", "rows"))
rows("scratchnet/data/warp.py", "tests/data/test_augment_pixels.py",
     ("rotated the other way", "sin / scale_y,", "-sin / scale_y,"))
rows("scratchnet/data/images.py", "tests/data/test_images.py",
     ("phone pictures lie on their side", "        image = image.transpose(turn)", "        pass"),
     ("what is transparent is black", '"RGBA", image.size, "white")', '"RGBA", image.size, "black")'),
     ("a bomb is unpacked", "        raise Image.DecompressionBombError\n", "        pass\n"))
rows("scratchnet/data/layout.py", "tests/data/test_folder.py",
     ("any folder beside train", "        if split is None:\n            raise", "        if False:\n            raise"))
rows("scratchnet/data/ahead.py", "tests/data/test_ahead.py",
     ("threads outlive the loop", "        for thread in self.threads:\n            thread.join()", "        pass"))
rows("scratchnet/schedules.py", "tests/test_schedules.py",
     ("cosine starts over at its end", "min(share, 1.0)", "share"),
     ("warm-up starts at zero", "(t + 1) / (steps + 1)", "t / steps"))
rows("scratchnet/layers/parameter.py", "tests/layers/test_state.py::test_a_gradient_is_a_copy_unless_it_is_given_away",
     ("a lent gradient is kept", "d if own and isinstance(d, np.ndarray)", "d if isinstance(d, np.ndarray)"),
     ("a strided one is kept", " and d.flags.c_contiguous else lasting(", " else lasting("))
rows("kernels/cpu/memory.py", "tests/kernels/test_cpu_memory.py",
     ("neighbours are not joined", "if address + size == start:", "if False:"),
     ("any piece that is large enough", "min(fitting, key=lambda found: found[:2])", "fitting[0]"),
     ("the rest of a piece is lost", "if available > size else []", "if False else []"),
     ("blocks of a region given up are used again", "if buffer.region.given_up:", "if False:"),
     ("memory that lives goes back, too", "for address, size in region.pieces:\n                region.untouched(",
      "for address, size in [(region.start, len(region.memory))]:\n                region.untouched("),
     ("as many addresses as there is memory, whatever the limit", "half if limit == resource.RLIM_INFINITY else", "half or"))
rows("kernels/cpu/optim.py", "tests/kernels/test_cpu_pointwise.py::test_optimiser_updates_over_five_steps",
     ("momentum as a moving average", "v = momentum * velocity[i] + g",
      "v = momentum * velocity[i] + (float32(1) - momentum) * g"),
     ("Adam's first moment biased", "float(lr) / (1 - float(beta1) ** int(step))", "float(lr)"),
     ("AdamW's decay without lr", "float(lr) * float(decay)", "float(decay)"))
rows("kernels/cpu/optim.py", "tests/kernels/test_cpu_pointwise.py::test_lists_of_arrays_are_updated_as_each_of_them",
     ("the first block of each parameter only", "for first in range(0, value.size, BLOCK)]", "for first in range(0, 1)]"),
     ("addresses of arrays that are gone", "reference() is not array or", "False or"),
     ("the first parameter's state for all", "_piece(arrays, 2, task), _piece(arrays, 3, task)\n        for",
      "_piece(arrays, 2, (0, task[1], task[2])), _piece(arrays, 3, task)\n        for"))
rows("kernels/cpu/optim.py", "tests/kernels/test_cpu_pointwise.py::test_a_variance_rounded_below_zero_is_zero",
     ("a variance rounded below zero", "s = float32(0) if s < 0 else s  ", "s = s  "))
