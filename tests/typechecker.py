"""The checker that runs the package's annotations while testing: beartype with PEP 484's int-is-a-float."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
