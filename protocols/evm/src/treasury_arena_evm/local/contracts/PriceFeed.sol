// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// A price source for Aave's oracle, with the time of its answer as Chainlink's feeds have it. Set by writing its storage.
contract PriceFeed {
    int256 public latestAnswer; // slot 0
    uint256 private answered; // slot 1; zero: always a moment ago

    constructor(int256 answer) {
        latestAnswer = answer;
    }

    function decimals() external pure returns (uint8) {
        return 8;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        uint256 time = answered == 0 ? block.timestamp : answered;
        return (1, latestAnswer, time, time, 1);
    }
}
