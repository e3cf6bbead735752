"""The settings of distillation, each with the value that made the committed encoder."""

from dataclasses import dataclass, field

from sentiment.finetuning.settings import FinetuneParams

SHARED = {
    "encoder": "the folder that the command names",
    "seed": 0,
    "frozen": (),
    "rating_targets": True,  # required; the targets are those of `read_examples`
    "pooling": "mean+max",
    "dropout": 0.1,
    "layer_lr_decay": 1.0,
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "batch_size": 32,
    "max_grad_norm": 1.0,
    "device": "auto",
}


@dataclass(frozen=True)
class DistillConfig:
    """Cross-fitting, the texts to learn from, and the two trainings.

    Attributes:
        n_folds: of the train split; the teacher of a fold is fine-tuned on the others.
        n_excerpts: excerpts per review; a review of one sentence has none.
        label_weight: of the label and the rating in the targets of a review; the teacher's probabilities have the rest.
            The targets of an excerpt are the teacher's, for the label of the whole need not fit a part.
        seed: of folds, excerpts, initial heads and dropout; `teacher.seed` and `student.seed` order the batches.
        teacher: as the row of MiniLM in the results tables, with fewer tokens.
        student: of 24 settings of epochs (1 to 20), learning rate, batch size and label weight, the one with the lowest
            validation loss and the highest validation AUC.
    """

    n_folds: int = 5
    n_excerpts: int = 2
    label_weight: float = 0.3
    seed: int = 0
    teacher: FinetuneParams = field(
        default_factory=lambda: FinetuneParams.model_validate(
            {**SHARED, "epochs": 2, "learning_rate": 7e-5, "max_length": 96}
        )
    )
    student: FinetuneParams = field(
        default_factory=lambda: FinetuneParams.model_validate(
            {**SHARED, "epochs": 1, "learning_rate": 5e-4, "max_length": 128}
        )
    )
