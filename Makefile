# Boardline. `make` alone lists the commands.
SHELL := /bin/bash
PYTHON_BIN := .venv/bin/python
ROOMS := pcb_bus edge_publisher inference_subscriber actuator recorder dashboard records simulator training broker benchmarks
CHECKED := $(sort $(dir $(wildcard $(addsuffix /*.py,$(ROOMS))))) tests/support tests/faults tests/fuzz

# An option counts only where it was given on the command line: the environment has variables of others by such names,
# and the defaults live in one place, config/line.yaml.
given = $(if $(filter command,$(origin $(1))),$(strip $($(1))))
option = $(if $(call given,$(1)),$(2) "$(call given,$(1))")
BROKER_OPTION = $(call option,BROKER,--broker)
MORE = $(call given,ARGS)
RUN = exec $(PYTHON_BIN) -m

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults fuzz broker run-edge run-inference run-actuator run-recorder run-dashboard dataset train evaluate calibrate card export fit-anomaly bench lint format

help:
	@echo 'make demo [BOARDS=n] [RATE=boards_per_s] [TRIGGER=mqtt] [LOOK=bare] [LEFT=source] [RIGHT=source] [LINE=pcb/line2]'
	@echo '                          the whole line on this machine, no hardware needed'
	@echo 'make test [ARGS=...]      every test, against a real Mosquitto and a real MariaDB'
	@echo 'make test-faults [BOARDS=n] [SEED=n|random] [SEEDS=n]'
	@echo '                          every fault while boards pass, and a table of what was lost; as root, all of them'
	@echo 'make test-faults STOPS=n  stop each service n times, with bursts of signals'
	@echo 'make fuzz [PACKETS=n] [SEED=n]'
	@echo '                          malformed and hostile packets at every listener of the broker'
	@echo 'make broker [PORT=8883] [PLAIN_PORT=1883] [WS_PORT=9001]'
	@echo '                          Mosquitto for a real line; logins are made on first use'
	@echo ''
	@echo 'One service in the foreground, each with [BROKER=host] [ARGS="..."]:'
	@echo 'make run-edge SIDE=left [SOURCE=0]'
	@echo 'make run-inference [CUDA=1]'
	@echo 'make run-actuator'
	@echo 'make run-recorder'
	@echo 'make run-dashboard        the pages: https://<this machine>:8080/ where the broker runs here too'
	@echo ''
	@echo 'make dataset FROM=folder [FORMAT=yolo|coco|voc|deeppcb] [OUT=folder] [VAL=0.2] [TEST=0.1] [ARGS="--check-only"]'
	@echo '                          bring pictures and labels of your own into one form, and check them'
	@echo 'make train [DATA=folder] [NAME=run] [TIME=45m] [RESUME=1] [ARGS="..."]'
	@echo '                          train the detector; report.html in var/train/<name> shows how good it is'
	@echo 'make export [NAME=run] [WEIGHTS=file.pt] [OUT=models/run]'
	@echo '                          a model folder of a run, checked against its checkpoint'
	@echo 'make evaluate [DATA=folder] [SPLIT=val] [FORMAT=deeppcb] [MODEL=file] [ARGS="--drawn assembled"]'
	@echo '                          measure a detector by three protocols, on data or on drawn boards'
	@echo 'make calibrate [DATA=folder SPLIT=val] [MODEL=file]'
	@echo '                          choose its temperature and thresholds; on drawn boards unless SPLIT says on which data'
	@echo 'make card [MODEL=file] [ARGS="--demo var/demo/summary.json"]'
	@echo '                          measure all figures, and write them into the card beside the model (the starter is'
	@echo '                          calibrated first)'
	@echo 'make fit-anomaly GOOD=folder [SIDE=left] [PRODUCT=name] [OUT=file] [MODEL=file]'
	@echo '                          learn good boards of one side, for the anomaly score'
	@echo 'make bench                latency of the whole path'
	@echo 'make lint                 ruff and mypy'

demo:
	@deploy/setup.sh demo mosquitto
	@$(RUN) simulator demo $(call option,BOARDS,--boards) $(call option,RATE,--rate) \
		$(call option,TRIGGER,--trigger) $(call option,LOOK,--look) $(call option,LEFT,--left) $(call option,RIGHT,--right) \
		$(call option,LINE,--line) $(MORE)

test:
	@deploy/setup.sh dev mosquitto mosquitto_sub mariadbd mariadb-install-db ip mkfs.ext4 openssl gst-inspect-1.0 chromium \
		ffmpeg mcs mono
	@exec tests/run.sh $(PYTHON_BIN) $(MORE)

test-faults:
	@deploy/setup.sh dev mosquitto mariadbd mariadb-install-db ip mkfs.ext4
	@PYTHONPATH=tests $(RUN) faults $(call option,BOARDS,--boards) $(call option,SEED,--seed) \
		$(call option,SEEDS,--seeds) $(call option,STOPS,--stops) $(MORE)

fuzz:
	@deploy/setup.sh dev mosquitto
	@PYTHONPATH=tests $(RUN) fuzz $(call option,PACKETS,--packets) $(call option,SEED,--seed) $(MORE)

broker:
	@deploy/setup.sh broker mosquitto
	@$(RUN) broker run $(call option,PORT,--port) $(call option,PLAIN_PORT,--plain_port) \
		$(call option,WS_PORT,--websocket_port) $(MORE)

run-edge:
	@[ -n "$(call given,SIDE)" ] || { echo 'which side? for example: make run-edge SIDE=left' >&2; exit 2; }
	@deploy/setup.sh edge
	@$(RUN) edge_publisher $(call option,SIDE,--side) $(call option,SOURCE,--source) $(BROKER_OPTION) $(MORE)

run-inference:
	@deploy/setup.sh $(if $(call given,CUDA),cuda,inference)
	@$(RUN) inference_subscriber $(BROKER_OPTION) $(MORE)

run-actuator:
	@deploy/setup.sh actuator
	@$(RUN) actuator $(BROKER_OPTION) $(MORE)

run-recorder:
	@deploy/setup.sh recorder
	@$(RUN) recorder $(BROKER_OPTION) $(MORE)

run-dashboard:
	@deploy/setup.sh dashboard
	@$(RUN) dashboard $(BROKER_OPTION) $(MORE)

dataset:
	@[ -n "$(call given,FROM)" ] || { echo 'which folder? for example: make dataset FROM=photographs' >&2; exit 2; }
	@deploy/setup.sh train
	@$(RUN) training dataset $(call option,FROM,--from) $(call option,FORMAT,--format) $(call option,OUT,--out) \
		$(call option,VAL,--val) $(call option,TEST,--test) $(MORE)

train:
	@deploy/setup.sh train
	@$(RUN) training train $(call option,DATA,--data) $(call option,NAME,--name) $(call option,TIME,--time) \
		$(if $(call given,RESUME),--resume) $(MORE)

export:
	@deploy/setup.sh train
	@$(RUN) training export $(call option,DATA,--data) $(call option,NAME,--run) $(call option,WEIGHTS,--weights) \
		$(call option,OUT,--out) $(MORE)

evaluate calibrate:
	@deploy/setup.sh train
	@$(RUN) training $@ $(call option,DATA,--data) $(call option,SPLIT,--split) $(call option,FORMAT,--format) \
		$(call option,MODEL,--model) $(MORE)

# Status 1 of `evaluate` says that the card's figure is an older one: here it is about to be written anew.
card:
	@deploy/setup.sh train
	@$(if $(call given,MODEL),,$(PYTHON_BIN) -m training calibrate)
	@$(PYTHON_BIN) -m training evaluate --reference templates $(call option,DATA,--data) $(call option,MODEL,--model) || [ $$? = 1 ]
	@$(PYTHON_BIN) -m training evaluate --drawn assembled $(call option,MODEL,--model) || [ $$? = 1 ]
	@$(PYTHON_BIN) -m training evaluate --drawn bare $(call option,MODEL,--model) || [ $$? = 1 ]
	@$(PYTHON_BIN) -m training time $(call option,MODEL,--model)
	@$(PYTHON_BIN) -m benchmarks.anomaly $(call option,MODEL,--model)
	@$(PYTHON_BIN) -m benchmarks.verdicts $(call option,MODEL,--model)
	@$(RUN) training card $(call option,MODEL,--model) $(MORE)

fit-anomaly:
	@[ -n "$(call given,GOOD)" ] || { echo 'which folder of good boards? for example: make fit-anomaly GOOD=good/left SIDE=left' >&2; exit 2; }
	@deploy/setup.sh $(if $(wildcard .venv/.boardline-train),train,demo)
	@$(RUN) training $@ $(call option,GOOD,--good) $(call option,SIDE,--side) $(call option,PRODUCT,--product) \
		$(call option,OUT,--out) $(call option,MODEL,--model) $(MORE)

bench:
	@deploy/setup.sh demo mosquitto
	@$(RUN) benchmarks.latency $(MORE)

lint:
	@deploy/setup.sh dev
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check . || { echo 'run: make format' >&2; exit 1; }
	@.venv/bin/mypy $(CHECKED)

format:
	@deploy/setup.sh dev
	@.venv/bin/ruff check --quiet --fix .
	@.venv/bin/ruff format --quiet .
