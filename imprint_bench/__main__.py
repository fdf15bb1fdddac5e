"""The command: ``python -m imprint_bench +sweep=quickstart``. Only here is Hydra known."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from imprint_bench import command_line
from imprint_bench.config import read
from imprint_bench.durable import explained
from imprint_bench.errors import ConfigError, ImprintError
from imprint_bench.study import Launch, carry_out

log = logging.getLogger("imprint_bench")


@hydra.main(version_base="1.3", config_path=str(command_line.conf_folder()), config_name="config")
def _job(raw: DictConfig) -> None:
    """Run one job: read its configuration and carry it out."""
    job = HydraConfig.get()
    plain: Any = OmegaConf.to_container(raw, resolve=True)
    overrides = list(job.overrides.task)
    launch = Launch(
        command=command_line.command(overrides, job.runtime.config_sources),
        configuration=OmegaConf.to_yaml(raw, resolve=True),
        subfolder=job.job.override_dirname if job.mode == RunMode.MULTIRUN else "",
    )
    carry_out(read(plain), launch)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 a mistake in what was asked for."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and the sentence is ours
    try:
        command_line.check(sys.argv[1:])
        with explained(Path("results")):
            _job()
    except (HydraException, OmegaConfBaseException) as error:
        _exit(ConfigError(command_line.sentence(error, sys.argv[1:])))
    except ImprintError as error:
        _exit(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was finished is stored, run again to go on.\n")
        sys.exit(130)


def _exit(error: ImprintError) -> None:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
