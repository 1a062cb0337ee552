"""Mutants of replays on the CPU; see mutants.py."""

from mutant_rows import rows

STEPS, CALLS = "tests/test_replayed_steps.py", "tests/test_replayed_inference.py"

rows("kernels/cpu/recording.py", CALLS,
     ("what each replay repeats is done once", "recorded.steps.append((action, ()))", "recorded.steps"),
     ("the kernels of an action are in the recording twice", "before, _current.recorded = _current.recorded, None",
      "before = _current.recorded"),
     ("a number that varies stays",
      "return int(self.number())", "return self.__dict__.setdefault('first', int(self.number()))"),
     ("memory without end", "if self.bytes > MOST:", "if False:"),
     ("images are no memory", "self.count(sum(given.nbytes for given in inputs))", "pass"))
rows("kernels/cpu/compile.py", f"{STEPS}::test_a_network_trains_to_the_same_bits_replayed_and_ordinarily",
     ("kernels are not noted", "        if recorded is not None:\n", "        if False:\n"))
rows("scratchnet/trial.py", "tests/test_trial.py",
     ("only what the step returns is compared", "ends.append(results + state.bits())", "ends.append(results)"),
     ("recorded with the true numbers",
      "Recorded(run, images * SCALE + SHIFT, other_classes(labels))", "Recorded(run, images, labels)"),
     ("probabilities of the others only", "np.roll(labels, 1, axis=-1) * SCALE + SHIFT", "np.roll(labels, 1, axis=-1)"),
     ("a trial counts steps", "        self.optimizer.steps.update(self.counts)\n", ""),
     ("a trial trains", "            array[...] = copy\n", "            pass\n"),
     ("a trial adds to gradients", "self.numbers + gradients", "self.numbers"),
     ("Ctrl-C leaves other numbers", "for _ in range(100):", "for _ in range(1):"))
rows("scratchnet/replay.py", STEPS,
     ("the optimiser's parameters are not looked at", "[*tables, optimizer.parameters, ", "[*tables, "),
     ("a method of the optimiser that is replaced meanwhile is not", " *filter(callable, vars(optimizer).values()),", ""),
     ("what the criterion was given is not",
      "self.tables += [partial.keywords for partial in _partials(criterion)]", "pass"),
     ("methods of one's own are not",
      "_is_of_scratchnet(type(layer)) and not has_own_methods(layer)", "_is_of_scratchnet(type(layer))"),
     ("a trial every few steps", "self.warm_up *= 2", "self.warm_up *= 1"),
     ("the number of threads is not looked at", "_kind(*arrays), kernels(\"cpu.threads\").threads()", "_kind(*arrays)"),
     ("under a watch nobody is told", "or local.watchers or", "or"))
rows("scratchnet/losses.py", STEPS,
     ("labels are looked at once", "each_time(lambda: _check_range(labels, logits.shape[1]))",
      "_check_range(labels, logits.shape[1])"))
rows("scratchnet/optim.py", STEPS,
     ("a rate for ever", "return varying(lambda: float(self.lr)), varying", "return self.lr, varying"))
rows("scratchnet/inference/replay.py", CALLS,
     ("what a replay writes over is returned",
      "self.recordings[key](images).copy(order=\"K\")", "self.recordings[key](images)"),
     ("not put to the test", "if recorded(images).tobytes() != y.tobytes():", "if False:"),
     ("the newest is forgotten", "del self.recordings[next(iter(self.recordings))]", "self.recordings.popitem()"))
rows("kernels/cpu/packed.py", CALLS,
     ("ways in a pickle", "{**vars(self), \"ways\": {}}", "vars(self)"))
