"""Title and protocol of a board, in sentences."""

from collections import Counter

from predcnn.leaderboard.boards import Board

DATA = {
    "moving_mnist": "Moving MNIST",
    "mmnist_cifar": "MMNIST-CIFAR",
    "moving_fmnist": "Moving Fashion-MNIST",
}
PROTOCOLS = {
    "isolated": "training, validation and test share no digit and no background",
    "openstl": "the pools and, where it is there, the test file of the published tables, whose "
    "training and test digits overlap",
}


def title(board: Board) -> str:
    """Return one line that names a board."""
    name = DATA.get(board.data["name"], board.data["name"])
    length = "trained as long as the scale says"
    if board.budget_minutes is not None:
        length = f"{board.budget_minutes:g} minutes of training each"
    return f"{name}, {length}, scale {board.scale}"


def protocol(board: Board) -> list[str]:
    """Return the protocol in sentences, from what the runs recorded."""
    data = board.data
    counts = {name: f"{count:,}" for name, count in data["sequences"].items()}
    rule = PROTOCOLS.get(data["protocol"], data["protocol"])
    sentences = [
        f"Data: {data['source']}. Protocol {data['protocol']}: {rule}.",
        f"{counts['val']} validation sequences choose the checkpoint; the test, {counts['test']} "
        "sequences, is opened once, with that checkpoint.",
    ]
    if board.budget_minutes is not None:
        sentences.append(
            f"A budget of {board.budget_minutes:g} minutes is turned once, by timing some steps, "
            "into the number of steps that fit on a machine with nothing else to do; the learning "
            "rate schedule spans these steps. Validation and test are not part of the budget. All "
            "entries see the same training sequences in the same order; faster ones see more."
        )
    seeds = sorted({run["seed"] for run in board.runs})
    if len(seeds) > 1:
        sentences.append(
            "Mean ± sample standard deviation where an entry has several of the seeds "
            f"{', '.join(map(str, seeds))}."
        )
    elif seeds:
        sentences.append(f"One seed ({seeds[0]}): the spread between runs is not known.")
    if board.speeds:
        sentences.append(f"Device: {board.speeds[0]['device']}.")
    codes = {run["code"] for run in board.runs}
    if len(codes) > 1:
        sentences.append(f"The runs were made with {len(codes)} different versions of the code.")
    notes = Counter(run["note"] for run in board.runs if "note" in run)
    return sentences + [f"{n} of {len(board.runs)} runs: {note}." for note, n in notes.items()]


PUBLISHED = (
    "Published rows come from other trainings (full size, 200 or 2,000 epochs, a V100) and are no "
    "result of this project. Their SSIM has data range 2."
)
