# Aliases for those whose fingers type make; the tasks are in dev.py.
TASKS := serve test check clients docs bench faults replay lock sbom size image
.PHONY: help $(TASKS)

help:
	@python3 dev.py

$(TASKS):
	@python3 dev.py $@ $(ARGS)
