// SPDX-License-Identifier: BSD-3-Clause
#include "config/document.hpp"

#include <set>
#include <vector>

#include "config/refusal.hpp"

namespace uffdmm {
namespace {

/// Follows the parser through the document and knows the path of what it reads. The JSON library
/// itself keeps the last of two equal keys without a word.
class duplicate_finder {
  public:
    bool operator()(int, json::parse_event_t event, json& parsed) {
        switch (event) {
        case json::parse_event_t::object_start:
            open_.push_back({false, 0, {}, {}});
            break;
        case json::parse_event_t::array_start:
            open_.push_back({true, 0, {}, {}});
            break;
        case json::parse_event_t::key:
            enter(parsed.get_ref<const std::string&>());
            break;
        case json::parse_event_t::object_end:
        case json::parse_event_t::array_end:
            open_.pop_back();
            [[fallthrough]];
        case json::parse_event_t::value:
            if (!open_.empty())
                ++open_.back().index;
            break;
        }
        return true;
    }

  private:
    struct level {
        bool is_array;
        std::size_t index;
        std::string key; ///< the latest
        std::set<std::string> seen;
    };

    void enter(const std::string& key) {
        level& object = open_.back();
        object.key = key;
        if (!object.seen.insert(key).second)
            refuse_combination(path(), "the key is given twice; allowed: once");
    }

    [[nodiscard]] std::string path() const {
        std::string text;
        for (const level& l : open_)
            text = l.is_array ? path_of(text, l.index) : path_of(text, l.key);
        return text;
    }

    std::vector<level> open_;
};

struct position {
    std::size_t line = 1;
    std::size_t column = 1;
};

/// Of byte `offset`, both counted from 1.
position position_of(std::string_view text, std::size_t offset) {
    position at;
    for (const char c : text.substr(0, offset)) {
        ++at.column;
        if (c == '\n')
            at = {at.line + 1, 1};
    }
    return at;
}

/// What the parser says after its own idea of the position.
std::string reason_of(const json::parse_error& error) {
    std::string_view text = error.what();
    if (const auto at = text.find(": "); at != std::string_view::npos)
        text.remove_prefix(at + 2);
    constexpr std::size_t longest = 200;
    return std::string(text.substr(0, longest)) + (text.size() > longest ? "..." : "");
}

} // namespace

json parse_document(std::string_view text) {
    try {
        return json::parse(text.begin(), text.end(), duplicate_finder());
    } catch (const json::parse_error& e) {
        const position at = position_of(text, e.byte > 0 ? e.byte - 1 : 0);
        refuse_combination("line " + std::to_string(at.line) + ", column " +
                               std::to_string(at.column),
                           reason_of(e));
    } catch (const json::exception& e) { // a number beyond double
        refuse_combination("the text is not valid JSON", e.what());
    }
}

} // namespace uffdmm
