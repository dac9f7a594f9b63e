"""What a pair of towers learns: which items of a history are the targets, and the loss that scores them."""

from training.recommender.objectives.base import ItemLoss, Step
from training.recommender.objectives.table import RecommenderLossConfig
from training.recommender.objectives.targets import choose_targets, positive_shares

__all__ = ["ItemLoss", "RecommenderLossConfig", "Step", "choose_targets", "positive_shares"]
