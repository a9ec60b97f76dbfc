"""The indicators of the library: the explicit list, each with its usual window. A new one is a file and a line here."""

from __future__ import annotations

from typing import Any

from service.research.indicators.basis import Basis
from service.research.indicators.chain_linked_oi import ChainLinkedOi
from service.research.indicators.contract import Indicator
from service.research.indicators.funding_apr import FundingApr
from service.research.indicators.funding_mean import FundingMean
from service.research.indicators.funding_rate import FundingRate
from service.research.indicators.funding_z import FundingZ
from service.research.indicators.leverage import LeverageRatio
from service.research.indicators.liquidations import Liquidations
from service.research.indicators.long_short_ratio import LongShortRatio
from service.research.indicators.oi_delta import OiDelta
from service.research.indicators.oi_momentum import OiMomentum
from service.research.indicators.oi_price_divergence import OiPriceDivergence
from service.research.indicators.oi_to_volume import OiToVolume
from service.research.indicators.oi_weighted_price import OiWeightedPrice
from service.research.indicators.percentile_30d import Percentile30d
from service.research.indicators.premium_index import PremiumIndex
from service.research.indicators.quadrant import Quadrant
from service.research.indicators.robust_z import RobustZ
from service.research.indicators.taker_ratio import TakerRatio

_LISTED: tuple[type[Indicator[Any]], ...] = (
    FundingRate,
    FundingMean,
    FundingZ,
    FundingApr,
    Basis,
    PremiumIndex,
    OiDelta,
    OiMomentum,
    OiPriceDivergence,
    OiWeightedPrice,
    OiToVolume,
    LongShortRatio,
    TakerRatio,
    Liquidations,
    LeverageRatio,
    RobustZ,
    Percentile30d,
    Quadrant,
    ChainLinkedOi,
)
REGISTRY: dict[str, type[Indicator[Any]]] = {kind.ABOUT.id: kind for kind in _LISTED}

NOT_APPLICABLE = {
    "TermStructureBasis": "basis of a dated future over the index: a perpetual has no term",
    "CalendarSpread": "dated future less perpetual: the service follows no dated futures",
}
