"""Predictors: past frames -> future frames. Importing this package registers them."""

from predcnn.predictors import (
    baselines,
    convlstm,
    dmvfn,
    e3dlstm,
    mau,
    mim,
    mmvp,
    phydnet,
    predformer,
    prednet,
    predrnn,
    predrnnpp,
    predrnnv2,
    simvp,
    swinlstm,
    vmrnn,
    wast,
)
