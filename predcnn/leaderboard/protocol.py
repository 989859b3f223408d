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
    "openstl": "the digits of OpenSTL's tables and their test file where it is present; training "
    "and test digits overlap",
}
PUBLISHED = (
    "Published results come from full-size trainings of 200 or more epochs under another protocol "
    "and are not results of this project. Their SSIM has data range 2."
)


def title(board: Board) -> str:
    """Return one line that names a board."""
    return f"{data_name(board)}, {_length(board)}, scale {board.scale}"


def data_name(board: Board) -> str:
    """Return the readable name of the data set."""
    return DATA.get(board.data["name"], board.data["name"])


def _length(board: Board) -> str:
    if board.budget_minutes is None:
        return "trained for the epochs of the scale"
    return f"{board.budget_minutes:g} minutes of training each"


def summary(board: Board) -> str:
    """Return the protocol in one line."""
    device = f" on {board.speeds[0]['device'].split(',')[0]}" if board.speeds else ""
    sequences = board.data["sequences"].get("test", 0)
    return (
        f"{_length(board)}{device}, scale {board.scale}; {sequences:,} test sequences, opened once "
        "with the checkpoint that validation chose. MSE and MAE: sums over a frame."
    )


def protocol(board: Board) -> list[str]:
    """Return the protocol in sentences, from the records."""
    data = board.data
    counts = {name: f"{count:,}" for name, count in data["sequences"].items()}
    rule = PROTOCOLS.get(data["protocol"], data["protocol"])
    sentences = [
        f"Data: {data['source']}. Protocol {data['protocol']}: {rule}.",
        f"{counts['val']} validation sequences choose the checkpoint; it is tested once, on "
        f"{counts['test']} sequences.",
    ]
    if board.budget_minutes is not None:
        sentences.append(
            f"A budget of {board.budget_minutes:g} minutes is converted once into the number of "
            "training steps that fit on an idle machine. All entries see the same training "
            "sequences in the same order; faster ones see more."
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
